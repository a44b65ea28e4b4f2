//! What `rep serve` is told, from wherever it is told: a file, over that the flags, over both `--set`.
//!
//! Each value keeps where it came from, so that what is wrong is said with its place, also when it only shows when
//! everything is put together.

use super::durability;
use super::file;
use super::keys::{self, Key};
use super::values::{self, Raw};
use anyhow::{Context, anyhow, bail};
#[cfg(feature = "tls")]
use rep_env::config::Timing;
use rep_env::config::{RepConfigBuilder, Setting};
use rep_env::{Durability, Error, RepConfig};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Everything that was said, by key. An attribute has a key of its own: `attribute.zone`.
#[derive(Debug, Default)]
pub(crate) struct Settings(BTreeMap<String, Said>);

/// A value, and who said it.
#[derive(Debug)]
struct Said {
    key: Key,
    value: Setting,
    origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A line of a file.
    File { path: PathBuf, line: usize },
    /// A flag of the command line.
    Flag,
    /// `--set key=value`.
    Set,
}

impl Settings {
    /// Takes what a file says.
    pub(crate) fn read(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {} (--config)", path.display()))?;
        for (key, raw, line) in file::entries(&text).map_err(|error| error.at(path))? {
            self.say(&key, raw, Origin::File { path: path.to_owned(), line })?;
        }
        Ok(())
    }

    /// Takes one flag, over what a file said.
    pub(crate) fn flag(&mut self, key: &str, value: Raw) -> anyhow::Result<()> {
        self.say(key, value, Origin::Flag)
    }

    /// Takes one `key=value`, over everything else.
    pub(crate) fn assign(&mut self, assignment: &str) -> anyhow::Result<()> {
        let (key, value) = assignment
            .split_once('=')
            .with_context(|| format!("--set {assignment:?} is not key=value"))?;
        self.say(key.trim(), Raw::Text(value.trim().to_owned()), Origin::Set)
    }

    fn say(&mut self, name: &str, raw: Raw, origin: Origin) -> anyhow::Result<()> {
        let wrong = |problem| anyhow!("{}: {problem}", Place { name, origin: &origin });
        let key = keys::find(name).map_err(|nearest| {
            wrong(format!("there is no such option; the nearest is {nearest}"))
        })?;
        let value = values::convert(&key, raw).map_err(wrong)?;
        self.0.insert(name.to_owned(), Said { key, value, origin });
        Ok(())
    }

    /// A text that was said.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match &self.0.get(name)?.value {
            Setting::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a switch was said to be on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|said| said.value == Setting::Switch(true))
    }

    /// This member's own address: as it is told, or among the members.
    pub(crate) fn own_address(&self) -> Option<&str> {
        if !self.0.contains_key("members") {
            return self.text("advertise").or_else(|| self.text("listen"));
        }
        let Setting::List(members) = &self.0.get("members")?.value else { return None };
        let name = self.text("name")?;
        let addresses = members.iter().filter_map(|member| member.split_once('='));
        addresses.filter(|(member, _)| *member == name).map(|(_, address)| address).next()
    }

    /// How far a write of a Redis client has to have come before it is answered.
    pub(crate) fn durability(&self) -> anyhow::Result<Durability> {
        let name = "resp_durability";
        let Some((said, text)) = self.0.get(name).zip(self.text(name)) else {
            return Ok(Durability::default());
        };
        durability::parse(text).with_context(|| {
            let example = durability::DEFAULT;
            let place = Place { name, origin: &said.origin };
            format!("{place}: {text:?} is not LOCAL/REPLICA/ACKS, as {example} and nosync/nosync/none are")
        })
    }

    /// Refuses what only makes sense beside something that is missing.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (name, said) in &self.0 {
            let needs = said.key.needs().filter(|needed| !self.0.contains_key(*needed));
            if let Some(needed) = needs {
                bail!("{}: makes sense only with {needed}", Place { name, origin: &said.origin });
            }
        }
        self.durability().map(drop)
    }

    /// A configuration of all that the environment knows of.
    pub(crate) fn builder(&self) -> anyhow::Result<RepConfigBuilder> {
        let needed = |name: &str| {
            self.text(name)
                .with_context(|| format!("{name} has to be given: --{name}, or {name} in a file"))
        };
        let mut builder = RepConfig::builder(needed("group")?, needed("name")?);
        for (name, said) in &self.0 {
            let Some(option) = said.key.option else { continue };
            let value = match name.strip_prefix("attribute.").zip(as_text(&said.value)) {
                Some((attribute, text)) => {
                    Setting::Pairs([(attribute.to_owned(), text.to_owned())].into())
                }
                None => said.value.clone(),
            };
            builder = builder.set(option, value).map_err(|error| self.placed(error))?;
        }
        Ok(builder)
    }

    /// How long things may take, as said.
    #[cfg(feature = "tls")]
    pub(crate) fn timing(&self) -> anyhow::Result<Timing> {
        Ok(self.builder()?.build().map_err(|error| self.placed(error))?.timing)
    }

    /// An error about an option, with the place where the option was said.
    pub(crate) fn placed(&self, error: Error) -> anyhow::Error {
        let Error::Config { option, problem } = &error else { return error.into() };
        let attribute = || self.0.iter().find(|(name, _)| name.starts_with("attribute."));
        let said = self.0.get_key_value(*option).or_else(|| match *option {
            "attribute" => attribute(),
            _ => None,
        });
        match said {
            Some((name, said)) => anyhow!("{}: {problem}", Place { name, origin: &said.origin }),
            None => error.into(),
        }
    }
}

fn as_text(setting: &Setting) -> Option<&str> {
    match setting {
        Setting::Text(text) => Some(text),
        _ => None,
    }
}

/// All of it as a file that says the same, what was not said in comments.
impl Display for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for key in keys::all() {
            let own = format!("{}.", key.name);
            let said =
                self.0.iter().filter(|(name, _)| **name == key.name || name.starts_with(&own));
            let mut silent = true;
            for (name, said) in said {
                silent = false;
                let (key, value) = (values::TomlKey(name), values::Toml(&said.value));
                writeln!(f, "{key} = {value}  # {}", said.origin)?;
            }
            if silent {
                writeln!(f, "# {}: {}", key.name, key.default_text())?;
            }
        }
        Ok(())
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Flag => f.write_str("a flag"),
            Origin::Set => f.write_str("--set"),
        }
    }
}

/// A key, and where it was said.
struct Place<'s> {
    name: &'s str,
    origin: &'s Origin,
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Place { name, origin } = self;
        match origin {
            Origin::File { .. } => write!(f, "{origin}: {name}"),
            Origin::Flag => write!(f, "--{}", name.replace('_', "-")),
            Origin::Set => write!(f, "--set {name}"),
        }
    }
}
