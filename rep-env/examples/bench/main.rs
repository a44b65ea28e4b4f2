//! What a group costs, beside what the machine costs in the same minute.
//!
//! ```text
//! cargo xtask bench [--only NAME] [--secs N]
//! ```
//!
//! On a shared machine a number alone means nothing: the disk next door may be busy. So every part begins by measuring its own
//! floors, which are one sync of a few appended bytes and one round trip over loopback, and its results are told as
//! multiples of them.

mod catch_up;
mod floor;
mod group;
mod idle;
mod load;
mod log;
mod parts;
mod redis;
mod restore;
mod transfer;

use std::time::Duration;

/// What was asked for on the command line.
#[derive(Debug)]
struct Options {
    only: Vec<String>,
    time: Duration,
    kills: usize,
    gib: f64,
    writers: Vec<usize>,
    rep: Option<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = options()?;
    println!("| part | floor: sync us | floor: RTT us | what | result | of the floor |");
    println!("|---|--:|--:|---|--:|--:|");
    for (name, part) in parts::PARTS {
        if options.only.is_empty() || options.only.iter().any(|only| name.contains(&**only)) {
            part(name, &options)?;
        }
    }
    Ok(())
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        only: Vec::new(),
        time: Duration::from_secs(3),
        kills: 20,
        gib: 1.0 / 16.0,
        writers: Vec::new(),
        rep: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--only" => options.only.push(value()?),
            "--secs" => options.time = Duration::from_secs(number(&value()?)?),
            "--kills" => options.kills = number(&value()?)? as usize,
            "--gib" => options.gib = value()?.parse().map_err(|_| "--gib needs a number")?,
            "--writers" => options.writers.push(number(&value()?)? as usize),
            "--rep" => options.rep = Some(value()?),
            _ => {
                return Err(format!(
                    "unknown: {word}; known: --only, --secs, --kills, --gib, --writers, --rep"
                ));
            }
        }
    }
    if options.writers.is_empty() {
        options.writers.extend(parts::WIDTHS);
    }
    Ok(options)
}

fn number(word: &str) -> Result<u64, String> {
    match word.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{word} is not a number above zero")),
    }
}
