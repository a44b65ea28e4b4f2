//! Of `rep serve`, what it is told.
#![allow(dead_code, reason = "only a part is looked at")]

#[path = "../../src/serve/durability.rs"]
pub(crate) mod durability;
#[path = "../../src/serve/file.rs"]
pub(crate) mod file;
#[path = "../../src/serve/keys.rs"]
pub(crate) mod keys;
#[path = "../../src/serve/settings.rs"]
pub(crate) mod settings;
#[path = "../../src/serve/values.rs"]
pub(crate) mod values;
