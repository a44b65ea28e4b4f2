//! What a group takes that nobody asks for anything.

use crate::Options;
use crate::group::{Speech, There};
use crate::load::{cpu_secs, pause};
use crate::parts::{Any, Table, skipped};
use std::time::Duration;

/// The founding, and the memory that it took for a while, are over then.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) fn idle(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let Some(rep) = &options.rep else { return skipped(name) };
    for store in ["memory", "redb"] {
        let group = There::start(rep, store, Speech::Tcp)?;
        let table = Table::begin(name, group.dir.path())?;
        group.wait_for_master();
        pause(SETTLE);
        let before: Vec<f64> = group.processes().iter().map(|pid| cpu_secs(&[*pid])).collect();
        let time = 5 * options.time;
        pause(time);
        let shares = group.processes().into_iter().zip(before);
        let busiest = shares
            .map(|(pid, before)| (cpu_secs(&[pid]) - before) / time.as_secs_f64() * 100.0)
            .fold(0.0, f64::max);
        let largest = group.processes().into_iter().filter_map(resident_kib).max().unwrap_or(0);
        let what = format!("{store}: memory of the largest of three idle `rep serve`");
        table.row(&what, &format!("{:.1} MiB", largest as f64 / 1024.0), "");
        let what = format!("{store}: CPU of the busiest of them, over {} s", time.as_secs());
        table.row(&what, &format!("{busiest:.2} % of a core"), "");
    }
    Ok(())
}

fn resident_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
