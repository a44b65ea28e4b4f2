//! Which keys there are: every option of the environment, and what `serve` adds.

use rep_env::config::{OptionInfo, OptionKind, options};

/// A key of a configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: OptionKind,
    /// The environment's option of that name; `None` if it is `serve`'s own.
    pub(crate) option: Option<&'static OptionInfo>,
    own: Option<&'static Own>,
}

/// What `serve` knows beside the environment's options.
#[derive(Debug)]
struct Own {
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    bound: &'static str,
    effect: &'static str,
    /// The key without which it makes no sense.
    needs: Option<&'static str>,
}

const TEXT: OptionKind = OptionKind::Text { default: "", bound: "" };

static OWN: &[Own] = &[
    Own {
        name: "resp",
        kind: TEXT,
        default: "no Redis port",
        bound: "host:port",
        effect: "Serves the Redis protocol there; port 0 takes any free one.",
        needs: None,
    },
    Own {
        name: "resp_advertise",
        kind: TEXT,
        default: "where the Redis port listens",
        bound: "host:port",
        effect: "Where clients reach the Redis port; replicas send them there.",
        needs: Some("resp"),
    },
    Own {
        name: "resp_password_file",
        kind: TEXT,
        default: "no password",
        bound: "a file; 1 to 512 bytes in its first line",
        effect: "Redis clients have to say that password first.",
        needs: Some("resp"),
    },
    Own {
        name: "resp_allow_plaintext",
        kind: OptionKind::Switch,
        default: "no",
        bound: "",
        effect: "Serves the Redis protocol without a password on an address that others can reach.",
        needs: Some("resp"),
    },
    Own {
        name: "resp_durability",
        kind: TEXT,
        default: "`sync/sync/majority`",
        bound: "`LOCAL/REPLICA/ACKS`: `sync`, `write`, `nosync`; the same; `all`, `majority`, `none`",
        effect: "How far a write of a Redis client has to have come before it is answered: at this master, at the members that acknowledge, and at how many of them.",
        needs: Some("resp"),
    },
    Own {
        name: "transport",
        kind: TEXT,
        default: "`tls` with certificates, else `tcp`",
        bound: "`tcp`, `tls`, `quic`",
        effect: "What the members speak to each other, the same at every member; `tls` and `quic` need `tls_ca`.",
        needs: None,
    },
    Own {
        name: "tls_ca",
        kind: TEXT,
        default: "plain TCP",
        bound: "a PEM file",
        effect: "Speaks TLS or QUIC to the other members, and trusts whom these authorities have given a certificate.",
        needs: Some("tls_identity"),
    },
    Own {
        name: "tls_identity",
        kind: TEXT,
        default: "plain TCP",
        bound: "a PEM file",
        effect: "This member's certificate, and its private key in the same file.",
        needs: Some("tls_ca"),
    },
    Own {
        name: "tls_revoked",
        kind: TEXT,
        default: "nothing is revoked",
        bound: "a PEM file",
        effect: "Certificates on these lists are trusted no more.",
        needs: Some("tls_ca"),
    },
    Own {
        name: "tls_dns_suffix",
        kind: TEXT,
        default: "`rep://GROUP/NODE` as a URI",
        bound: "a domain",
        effect: "Certificates name members as `NODE.GROUP.SUFFIX`, and administrators as `NAME.admin.GROUP.SUFFIX`, for authorities that sign nothing but names of hosts.",
        needs: Some("tls_ca"),
    },
];

/// Every key that a file may say, in the order in which they are documented.
pub(crate) fn all() -> impl Iterator<Item = Key> {
    documented().filter(|key| key.kind != OptionKind::Code)
}

/// Every key, also what only code can give.
pub(crate) fn documented() -> impl Iterator<Item = Key> {
    let options = options().map(|info| Key {
        name: info.name,
        kind: info.kind,
        option: Some(info),
        own: None,
    });
    let own =
        OWN.iter().map(|own| Key { name: own.name, kind: own.kind, option: None, own: Some(own) });
    options.chain(own)
}

/// The key of that name, or the name that comes nearest to it. An attribute is named behind a dot.
pub(crate) fn find(name: &str) -> Result<Key, &'static str> {
    let plain = match name.split_once('.') {
        Some(("attribute", attribute)) if !attribute.is_empty() => "attribute",
        Some(_) | None => name,
    };
    let is_whole = |key: &Key| key.kind != OptionKind::Pairs || plain != name;
    if let Some(key) = all().find(|key| key.name == plain).filter(is_whole) {
        return Ok(key);
    }
    let nearest = all().map(|key| key.name).min_by_key(|known| distance(name, known));
    Err(nearest.unwrap_or_default())
}

impl Key {
    /// The key without which this one makes no sense.
    pub(crate) fn needs(&self) -> Option<&'static str> {
        self.own.and_then(|own| own.needs)
    }

    /// In what it is measured, and who knows it.
    pub(crate) fn unit(&self) -> &'static str {
        match self.option {
            Some(option) => option.unit(),
            None if self.kind == OptionKind::Switch => "yes or no, `rep serve` only",
            None => "text, `rep serve` only",
        }
    }

    /// What holds if it is not said, in words.
    pub(crate) fn default_text(&self) -> String {
        match (self.option, self.own) {
            (Some(option), _) => option.default_text(),
            (None, own) => own.map_or("", |own| own.default).to_owned(),
        }
    }

    /// Which values there are, in words.
    pub(crate) fn bound(&self) -> String {
        match (self.option, self.own) {
            (Some(option), _) => option.bound(),
            (None, own) => own.map_or("", |own| own.bound).to_owned(),
        }
    }

    /// What it does.
    pub(crate) fn effect(&self) -> &'static str {
        match (self.option, self.own) {
            (Some(option), _) => option.effect(),
            (None, own) => own.map_or("", |own| own.effect),
        }
    }
}

/// How many letters have to be added, removed or replaced to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (column, other) in other.iter().enumerate() {
            let replaced = corner + usize::from(letter != *other);
            corner = row[column + 1];
            row[column + 1] = replaced.min(corner + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        assert_eq!(find("heartbeet").unwrap_err(), "heartbeat");
        assert_eq!(find("resp-advertise").unwrap_err(), "resp_advertise");
        assert_eq!(find("attribute").unwrap_err(), "attribute");
        assert_eq!(find("attribute.zone").unwrap().name, "attribute");
        assert!(find("listener").is_err(), "only code can give a socket");
        assert!(all().all(|key| key.kind == OptionKind::Pairs || find(key.name).is_ok()));
    }

    #[test]
    fn the_distance_counts_letters() {
        for (one, other, expected) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }
}
