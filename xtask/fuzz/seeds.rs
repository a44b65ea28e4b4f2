//! What a fuzzer begins with. Seeds are made by the target itself and not kept as files: a format that changes takes
//! them along.

use std::path::PathBuf;

/// Where a fuzz target is to write its seeds before it begins: see `cargo xtask fuzz`.
const FOLDER: &str = "REP_FUZZ_SEEDS";

/// Writes the seeds where the environment says, if it does.
pub(crate) fn offer(seeds: fn() -> Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("the folder of seeds can be made");
    for (number, seed) in seeds().iter().enumerate() {
        let file = folder.join(format!("seed-{number:03}"));
        std::fs::write(file, seed).expect("a seed can be written");
    }
}
