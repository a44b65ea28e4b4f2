//! A configuration, from a file and from `--set`: it is understood or refused with its place, and what was understood is
//! printed as a file that says the same.

use crate::kit::Input;
use crate::serve::settings::Settings;
use crate::serve::{file, keys, values};

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let count = input.below(4);
    let mut settings = Settings::default();
    for _ in 0..count {
        let assignment = String::from_utf8_lossy(input.short()).into_owned();
        said(settings.assign(&assignment));
    }
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    match file::entries(&text) {
        Err(error) => assert!(error.at("f.toml".as_ref()).to_string().starts_with("f.toml:")),
        Ok(entries) => {
            let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
            for (key, value, line) in entries {
                assert!((1..=lines).contains(&line), "{key} in line {line} of {lines}");
                one(&key, value.clone());
                said(settings.flag(&key, value));
            }
        }
    }
    printed(&settings);
    said(settings.check());
    if let Some(Ok(config)) = said(settings.builder()).map(|builder| builder.build()) {
        assert!(config.members.contains_key(&config.name));
    }
}

/// What is refused is refused in words.
fn said<T>(outcome: anyhow::Result<T>) -> Option<T> {
    outcome.inspect_err(|error| assert!(!format!("{error:#}").is_empty())).ok()
}

/// A value that its key takes is printed as it would be written, and read as the same.
fn one(key: &str, raw: values::Raw) {
    let Ok(known) = keys::find(key) else { return };
    let Ok(value) = values::convert(&known, raw) else { return };
    let line = format!("{} = {}", known.name, values::Toml(&value));
    let mut again = file::entries(&line).unwrap_or_else(|_| panic!("{line:?} is no file"));
    let (_, raw, _) = again.remove(0);
    assert_eq!(values::convert(&known, raw).as_ref(), Ok(&value), "{line:?}");
}

/// All of it as a file, read again and printed again.
fn printed(settings: &Settings) {
    let text = settings.to_string();
    let mut again = Settings::default();
    let entries = file::entries(&text).unwrap_or_else(|_| panic!("{text} is no file"));
    for (key, value, _) in entries {
        again.flag(&key, value).unwrap_or_else(|error| panic!("{error:#} in\n{text}"));
    }
    assert_eq!(without_origins(&again.to_string()), without_origins(&text));
}

/// The lines without where each came from.
fn without_origins(text: &str) -> String {
    let bare = text.lines().map(|line| line.rsplit_once("  # ").map_or(line, |(said, _)| said));
    bare.collect::<Vec<_>>().join("\n")
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let files = [
        "group = 'bank'\nname = \"n1\"\nhome = 'h'\nmembers = ['n1=h:1', 'n2=[::1]:2']\n",
        "heartbeat = '250ms'\nelection_timeout = \"1s 500ms\"\nsegment_bytes = 0x100000\n",
        "allow_plaintext = true\nunsynced_bytes_max = '16MiB'\n[attribute]\nzone = 'a \\\"b\\\" \\\\'\n",
        "members = { n1 = 'h:1', n2 = 'h:2' }\nstore = 'memory'\nephemeral = true\n",
        "a = 1\nb = \n",
        "x = 1.5\nheartbeet = '1s'\nheartbeat = 7\n",
        "\"quoted key\" = 'v'\nattribute.zone = \"\\u0007\"\nattribute.'a.b' = 'c'\n",
    ];
    let mut seeds: Vec<Vec<u8>> =
        files.iter().map(|file| [&[0], file.as_bytes()].concat()).collect();
    let set = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let sets = ["group=bank", "name = n1", "members=n1=h:1, n2=h:2", "attribute.zone=north"];
    let sets = sets.map(set);
    seeds.push([&[3][..], &sets[..3].concat(), b"ephemeral = true\n"].concat());
    seeds.push([&[2][..], &sets[3], &set("heartbeat=1m 5s"), b"resp = 'h:1'\n"].concat());
    seeds.push([&[1][..], &set("no equals sign")].concat());
    seeds
}
