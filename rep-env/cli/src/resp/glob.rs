//! Redis' glob patterns, as `SCAN ... MATCH` takes them: `*`, `?`, `[a-z]`, `[^x]`, `\` before a literal.

/// Whether the whole of `text` matches `pattern`. Linear in `text` for each star, never exponential.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on if the text after the last star does not fit: behind the star, one byte later.
    let mut retry: Option<(usize, usize)> = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, read));
            continue;
        }
        match one(&pattern[at..], text[read]) {
            Some(length) => {
                at += length;
                read += 1;
            }
            None => match &mut retry {
                Some((behind_star, from)) => {
                    *from += 1;
                    (at, read) = (*behind_star, *from);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The length of the pattern's first element if it matches `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => (literal == byte).then_some(2),
        [b'[', ref class @ ..] => class_matches(class, byte),
        [literal, ..] => (literal == byte).then_some(1),
    }
}

/// A class, after its `[`. One that never ends takes the rest of the pattern, as in Redis.
fn class_matches(class: &[u8], byte: u8) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    while at < class.len() && class[at] != b']' {
        match class[at..] {
            [b'\\', literal, ..] => {
                found |= literal == byte;
                at += 2;
            }
            [low, b'-', high, ..] if high != b']' => {
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal == byte;
                at += 1;
            }
            [] => unreachable!("the loop ends with the class"),
        }
    }
    let length = 1 + at + usize::from(at < class.len());
    (found != negated).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        let yes = [
            ("*", ""),
            ("*", "abc"),
            ("a?c", "abc"),
            ("a*c", "abbbc"),
            ("[a-c]x", "bx"),
            ("[^a]x", "bx"),
            ("\\*", "*"),
            ("a*b*c", "aXbYbZc"),
            ("h[ae]llo", "hallo"),
            ("**", "x"),
        ];
        let no = [
            ("", "a"),
            ("a?c", "ac"),
            ("a*c", "ab"),
            ("[a-c]x", "dx"),
            ("[^a]x", "ax"),
            ("\\*", "a"),
            ("abc", "abcd"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(matches("a*".repeat(50).as_bytes(), "a".repeat(2000).as_bytes()));
        assert!(!matches(("a*".repeat(50) + "b").as_bytes(), "a".repeat(2000).as_bytes()));
    }
}
