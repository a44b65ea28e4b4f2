//! Afterwards: what is where.

use super::group::Group;
use super::load::{self, Ledger, Told};
use super::{NodeOutcome, Patience};
use crate::client::Client;
use anyhow::{Context, bail};
use redis_protocol::resp2::types::BytesFrame;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Keys in one MGET.
const KEYS: usize = 256;
/// How long the nodes may take to come to the same point once nobody writes.
const CONVERGENCE: Duration = Duration::from_secs(20);

/// What was found when all was read back.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lost: u64,
    pub(super) resurrected: u64,
}

/// Waits until all nodes have applied the same entries; whether they hold the same then.
pub(super) fn digests(
    group: &Group,
    patience: &Patience,
) -> anyhow::Result<(bool, Vec<NodeOutcome>)> {
    let began = Instant::now();
    patience.until("the nodes to meet", || {
        let nodes = (0..group.count()).map(|at| {
            let digest = group.digest(at)?;
            let name = group.name(at).to_owned();
            Ok(NodeOutcome { name, applied: digest.applied, digest: digest.digest })
        });
        let nodes: Vec<NodeOutcome> = nodes.collect::<anyhow::Result<_>>()?;
        let same =
            |of: fn(&NodeOutcome) -> &str| nodes.iter().all(|node| of(node) == of(&nodes[0]));
        let met = same(|node| &node.applied);
        let converged = met && same(|node| &node.digest);
        Ok((met || began.elapsed() > CONVERGENCE).then_some((converged, nodes)))
    })
}

/// Reads every key of which something is known from every node.
pub(super) fn read_back(group: &Group, ledger: &Ledger) -> anyhow::Result<Found> {
    let (mut lost, mut resurrected) = (BTreeSet::new(), BTreeSet::new());
    for address in group.resp_addresses() {
        let mut client = Client::connect(&address)?;
        match client.ask(&[b"READONLY"])? {
            BytesFrame::SimpleString(_) => {}
            other => bail!("READONLY was answered {other:?}"),
        }
        for (writer, Told { acked, refused, .. }) in ledger.0.iter().enumerate() {
            for numbers in acked.chunks(KEYS) {
                let values = values(&mut client, writer, numbers)?;
                let wrong = numbers.iter().zip(values).filter(|(number, found)| {
                    found.as_deref() != Some(load::value(writer, **number).as_bytes())
                });
                lost.extend(wrong.map(|(number, _)| (writer, *number)));
            }
            for numbers in refused.chunks(KEYS) {
                let values = values(&mut client, writer, numbers)?;
                let there = numbers.iter().zip(values).filter(|(_, found)| found.is_some());
                resurrected.extend(there.map(|(number, _)| (writer, *number)));
            }
        }
    }
    Ok(Found { lost: lost.len() as u64, resurrected: resurrected.len() as u64 })
}

/// The values of these keys of a writer.
fn values(
    client: &mut Client,
    writer: usize,
    numbers: &[u64],
) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
    let keys: Vec<String> = numbers.iter().map(|number| load::key(writer, *number)).collect();
    let mut words: Vec<&[u8]> = vec![b"MGET"];
    words.extend(keys.iter().map(String::as_bytes));
    let BytesFrame::Array(items) = client.ask(&words).context("while reading back")? else {
        bail!("MGET was not answered with an array");
    };
    items
        .into_iter()
        .map(|item| match item {
            BytesFrame::BulkString(value) => Ok(Some(value.to_vec())),
            BytesFrame::Null => Ok(None),
            other => bail!("MGET was answered {other:?}"),
        })
        .collect()
}
