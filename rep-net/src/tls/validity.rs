//! From when until when a certificate is valid: read of our own, because nobody below tells.
//!
//! A certificate is `SEQUENCE { SEQUENCE { [0] version, serial, algorithm, issuer, validity, ... }, ... }`, and the validity two
//! times. That much of DER is read here, from bytes that may be anything.

use std::time::{Duration, SystemTime};

pub(super) const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// First and last moment; none if these bytes are no certificate.
pub(super) fn of(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let mut fields = Der(Der(Der(certificate).expect(SEQUENCE)?).expect(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.next()?;
    }
    let (_serial, _algorithm, _issuer) = (fields.next()?, fields.next()?, fields.next()?);
    let mut validity = Der(fields.expect(SEQUENCE)?);
    let (from, until) = (moment(validity.next()?)?, moment(validity.next()?)?);
    validity.0.is_empty().then_some((from, until))
}

/// What is left of a row of values, each a tag, a length and as many bytes.
pub(super) struct Der<'a>(pub(super) &'a [u8]);

impl<'a> Der<'a> {
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let bytes = match first {
            ..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let (length, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = behind;
                length.iter().fold(0, |bytes, byte| bytes << 8 | usize::from(*byte))
            }
            _ => return None,
        };
        let (value, behind) = rest.split_at_checked(bytes)?;
        self.0 = behind;
        Some((tag, value))
    }

    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}

/// `YYMMDDhhmmssZ`, years from 1950 on, or `YYYYMMDDhhmmssZ`.
fn moment((tag, text): (u8, &[u8])) -> Option<SystemTime> {
    let (century, digits) = match (tag, text.len()) {
        (UTC_TIME, 13) => (None, &text[..12]),
        (GENERALIZED_TIME, 15) => (Some(number(&text[..2])?), &text[2..14]),
        _ => return None,
    };
    let mut pairs = [0; 6];
    for (pair, digits) in pairs.iter_mut().zip(digits.chunks(2)) {
        *pair = number(digits)?;
    }
    let [year, month, day, hour, minute, second] = pairs;
    let century = century.unwrap_or(if year < 50 { 20 } else { 19 });
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let days = days_since_1970(century * 100 + year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    let after = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    (in_range && text.last() == Some(&b'Z')).then(|| SystemTime::UNIX_EPOCH + after)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// Counted in years that begin in March, so that the odd day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tag: u8, text: &str) -> Option<u64> {
        let moment = moment((tag, text.as_bytes()))?;
        Some(moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn moments_are_what_a_calendar_says() {
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, "000229123456Z"), Some(951_827_696));
        assert_eq!(seconds(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(seconds(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(seconds(GENERALIZED_TIME, "21000301000000Z"), Some(4_107_542_400));
        for (tag, text) in [
            (UTC_TIME, "7001010000Z"),
            (UTC_TIME, "700101000000+"),
            (UTC_TIME, "701301000000Z"),
            (UTC_TIME, "70010100000xZ"),
            (GENERALIZED_TIME, "700101000000Z"),
            (SEQUENCE, "700101000000Z"),
        ] {
            assert_eq!(seconds(tag, text), None, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_validity() {
        for bytes in
            [&b""[..], b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x00"]
        {
            assert_eq!(of(bytes), None, "{bytes:?}");
        }
    }
}
