//! Any values for any options: what is built is within every bound that the table of options states, and lists every
//! member once; what is refused is refused by the name of an option.

use crate::kit::Input;
use rep_env::config::{OptionKind, Setting, options};
use rep_env::{Error, RepConfig, StoreKind};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let mut builder = RepConfig::builder("bank", "n1").members(["n1=a:1", "n2=b:2"]).ephemeral();
    let all: Vec<_> = options().collect();
    while !input.is_empty() {
        let option = all[input.below(all.len())];
        let value = setting(option.kind, &mut input);
        let is_its_kind = is_of(option.kind, &value);
        // A builder is used up by a refusal, as by everything else.
        builder = match builder.set(option, value) {
            Ok(builder) => builder,
            Err(error) => {
                let of_a_few = matches!(option.name, "store" | "type" | "on_damage" | "feed_from");
                assert!(!is_its_kind || of_a_few, "{error}");
                return is_about_an_option(&error);
            }
        };
        assert!(is_its_kind);
    }
    match builder.build() {
        Ok(config) => check(&config),
        Err(error) => is_about_an_option(&error),
    }
}

fn is_about_an_option(error: &Error) {
    let Error::Config { option, .. } = error else { panic!("{error}") };
    assert!(options().any(|info| info.name == *option), "{error}");
    assert!(!error.to_string().is_empty());
}

fn is_of(kind: OptionKind, value: &Setting) -> bool {
    matches!(
        (kind, value),
        (OptionKind::Time { .. }, Setting::Time(_))
            | (OptionKind::Bytes { .. }, Setting::Bytes(_))
            | (OptionKind::Number { .. }, Setting::Number(_))
            | (OptionKind::Text { .. }, Setting::Text(_))
            | (OptionKind::Switch, Setting::Switch(_))
            | (OptionKind::List, Setting::List(_))
            | (OptionKind::Pairs, Setting::Pairs(_))
    )
}

/// Mostly a value of the kind that the option takes, often at or beside one of its bounds.
fn setting(kind: OptionKind, input: &mut Input<'_>) -> Setting {
    let near = |bound: u64, input: &mut Input<'_>| match input.below(4) {
        0 => bound,
        1 => bound.saturating_sub(1),
        2 => bound.saturating_add(1),
        _ => input.number(),
    };
    let choice = input.byte();
    match (kind, choice) {
        (_, 240) => Setting::Time(Duration::from_millis(input.number())),
        (_, 241) => Setting::Bytes(input.number()),
        (_, 242) => Setting::Switch(input.is()),
        (_, 243) => Setting::List(Vec::new()),
        (_, 245) => Setting::Number(input.number() as u32),
        (_, 244) => Setting::Pairs(BTreeMap::new()),
        (OptionKind::Time { min, max, default }, _) => {
            let bound = [min, max, default][input.below(3)];
            let ns = near(bound.subsec_nanos().into(), input);
            Setting::Time(
                Duration::from_secs(near(bound.as_secs(), input))
                    .saturating_add(Duration::from_nanos(ns)),
            )
        }
        (OptionKind::Bytes { min, max, default }, _) => {
            Setting::Bytes(near([min, max, default][input.below(3)], input))
        }
        (OptionKind::Number { .. }, _) => Setting::Number(input.number() as u32),
        (OptionKind::Switch, _) => Setting::Switch(input.is()),
        (OptionKind::List, _) => Setting::List((0..input.below(5)).map(|_| text(input)).collect()),
        (OptionKind::Pairs, _) => {
            Setting::Pairs((0..input.below(4)).map(|_| (text(input), text(input))).collect())
        }
        (_, _) => Setting::Text(text(input)),
    }
}

fn text(input: &mut Input<'_>) -> String {
    String::from_utf8_lossy(input.short()).into_owned()
}

fn check(config: &RepConfig) {
    for name in config.members.keys().chain([&config.name, &config.group]) {
        assert!((1..=255).contains(&name.len()), "{name:?}");
        assert!(!name.contains(['=', ',']) && !name.chars().any(char::is_control), "{name:?}");
    }
    match &config.join {
        Some(helpers) => {
            assert!(config.members.is_empty());
            assert!(helpers.iter().all(|helper| !helper.is_empty() && !helper.contains('=')));
        }
        None => assert_eq!(config.members.get(&config.name), Some(&config.advertise)),
    }
    assert!(!config.advertise.is_empty());
    assert!(config.members.values().all(|address| !address.is_empty()));
    let (timing, limits) = (&config.timing, &config.limits);
    assert!(timing.election_timeout >= timing.heartbeat * 3 && timing.heartbeat > Duration::ZERO);
    assert!(
        timing.disk_stall >= timing.sync_interval * 2 && timing.redial_max >= timing.redial_min
    );
    for time in [timing.election_timeout, timing.ack_timeout, timing.close_timeout] {
        assert!(time <= Duration::from_secs(3650 * 86_400), "no time outgrows a clock");
    }
    for bytes in [limits.unsynced_bytes_max, limits.overlay_bytes_max, limits.segment_bytes] {
        assert!((1 << 20..=1 << 40).contains(&bytes));
    }
    let attributes = config.attributes.iter().map(|(name, value)| name.len() + value.len());
    assert!(attributes.sum::<usize>() <= 1024);
    assert!(config.home.is_some() || config.store == StoreKind::Memory);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let all: Vec<_> = options().collect();
    let mut seeds = vec![Vec::new()];
    let number = |name: &str| all.iter().position(|info| info.name == name).unwrap_or(0) as u8;
    let short = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    for (at, info) in all.iter().enumerate() {
        let at = at as u8;
        match info.kind {
            OptionKind::Time { .. } | OptionKind::Bytes { .. } => {
                // At a bound, and one step beyond it.
                for bound in 0..3 {
                    for step in 0..3 {
                        seeds.push(vec![at, 0, bound, step, step]);
                    }
                }
            }
            OptionKind::Switch => seeds.push(vec![at, 0, 1]),
            _ => seeds.push([&[at, 0][..], &short("n2")].concat()),
        }
    }
    let members = |list: &[&str]| {
        let texts: Vec<u8> = list.iter().flat_map(|member| short(member)).collect();
        [&[number("members"), 0, list.len() as u8][..], &texts].concat()
    };
    seeds.push(members(&["n1=a:1", "n2=b:2", "n3=[::1]:3"]));
    seeds.push(members(&["n1=a:1", "n1=b:2", "n3"]));
    seeds.push(members(&["=a:1", "n1=", "n1=x=y"]));
    let pair = [short("zone"), short("north")].concat();
    seeds.push([&[number("attribute"), 0, 1], &pair[..]].concat());
    seeds.push([&[number("attribute"), 0, 2], &pair[..], &[1, b'x', 255], &[b'y'; 255]].concat());
    let home = [&[number("home"), 0][..], &short("h"), &[number("ephemeral"), 0, 0]].concat();
    seeds.push([&home[..], &[number("store"), 0], &short("memory")].concat());
    seeds.push([&home[..], &[number("store"), 0], &short("paper")].concat());
    seeds
}
