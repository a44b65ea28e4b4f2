//! What the port tells about its node: `HELLO`, `ROLE`, `INFO`, in Redis' shapes.

use super::failure::port_of;
use super::reply::{Reply, Version};
use super::server::Port;
use bytes::Bytes;
use rep_env::{Consistency, Member, NodeState, Stats};
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// Whose replies these are like; some clients look at it before they send a command.
const REDIS_VERSION: &str = "7.0.0";
const SECTIONS: [&str; 5] = ["server", "clients", "stats", "replication", "keyspace"];

impl Port {
    /// The answer to `HELLO`.
    pub(crate) fn greeting(&self, version: Version, id: i64) -> Reply {
        let version = match version {
            Version::Resp2 => 2,
            Version::Resp3 => 3,
        };
        let pair = |name: &str, value| (Reply::text(name), value);
        Reply::Map(vec![
            pair("server", Reply::text("rep")),
            pair("version", Reply::text(env!("CARGO_PKG_VERSION"))),
            pair("proto", Reply::Integer(version)),
            pair("id", Reply::Integer(id)),
            pair("mode", Reply::text("standalone")),
            pair("role", Reply::text(if self.is_master() { "master" } else { "replica" })),
            pair("modules", Reply::Array(Vec::new())),
        ])
    }

    /// The answer to `ROLE`: `master`, offset, replicas; or `slave`, host, port, how it stands, offset. Offsets are VLSNs.
    pub(crate) fn role(&self) -> Reply {
        let offset = Reply::Integer(self.offset());
        if self.is_master() {
            let replicas = self.replicas().into_iter().map(|(member, synced)| {
                let (host, port) = host_and_port(&member);
                let words = [host, port, synced.to_string()];
                Reply::Array(words.into_iter().map(Reply::text).collect())
            });
            return Reply::Array(vec![
                Reply::text("master"),
                offset,
                Reply::Array(replicas.collect()),
            ]);
        }
        let (host, port) = self.env.master().as_ref().map(host_and_port).unwrap_or_default();
        let state = if self.follows() { "connected" } else { "connect" };
        Reply::Array(vec![
            Reply::text("slave"),
            Reply::text(host),
            Reply::Integer(port.parse().unwrap_or(0)),
            Reply::text(state),
            offset,
        ])
    }

    /// The answer to `INFO`: these sections, or all of them.
    pub(crate) fn info(&self, asked: &[Bytes]) -> Reply {
        let all = asked.is_empty()
            || asked.iter().any(|section| {
                ["all", "default", "everything"].iter().any(|word| is(section, word))
            });
        let stats = self.env.stats();
        let mut text = String::new();
        for name in SECTIONS {
            if all || asked.iter().any(|section| is(section, name)) {
                self.section(name, &stats, &mut text);
            }
        }
        Reply::text(text)
    }

    fn section(&self, name: &str, stats: &Stats, text: &mut String) {
        let mut title = name.to_owned();
        title[..1].make_ascii_uppercase();
        line(text, format_args!("# {title}"));
        match name {
            "server" => self.server(text),
            "clients" => {
                line(text, format_args!("connected_clients:{}", self.clients()));
                line(text, format_args!("clients_memory_bytes:{}", self.memory.used()));
            }
            "stats" => self.stats(stats, text),
            "replication" => self.replication(text),
            _ => self.keyspace(text),
        }
        line(text, format_args!(""));
    }

    fn server(&self, text: &mut String) {
        line(text, format_args!("redis_version:{REDIS_VERSION}"));
        line(text, format_args!("rep_version:{}", env!("CARGO_PKG_VERSION")));
        line(text, format_args!("redis_mode:standalone"));
        line(text, format_args!("process_id:{}", std::process::id()));
        line(text, format_args!("uptime_in_seconds:{}", self.began.elapsed().as_secs()));
        line(text, format_args!("loading:0"));
        line(text, format_args!("group:{}", self.env.group_name()));
        line(text, format_args!("node:{}", self.env.name()));
    }

    fn stats(&self, stats: &Stats, text: &mut String) {
        let clients = self.counters.clients.load(Ordering::Relaxed);
        let commands = self.counters.commands.load(Ordering::Relaxed);
        for (name, value) in [
            ("total_connections_received", clients),
            ("total_commands_processed", commands),
            ("commits_begun", stats.commits_begun),
            ("commits_durable", stats.commits_durable),
            ("commits_unknown", stats.commits_unknown),
            ("commits_failed", stats.commits_failed),
            ("reads_served", stats.reads_served),
            ("log_syncs", stats.log_syncs),
            ("log_entries", stats.log_entries),
        ] {
            line(text, format_args!("{name}:{value}"));
        }
    }

    fn replication(&self, text: &mut String) {
        if self.is_master() {
            let replicas = self.replicas();
            line(text, format_args!("role:master"));
            line(text, format_args!("connected_slaves:{}", replicas.len()));
            for (number, (member, synced)) in replicas.iter().enumerate() {
                let (host, port) = host_and_port(member);
                let name = &member.name;
                line(
                    text,
                    format_args!(
                        "slave{number}:ip={host},port={port},state=online,offset={synced},name={name}"
                    ),
                );
            }
        } else {
            let (host, port) = self.env.master().as_ref().map(host_and_port).unwrap_or_default();
            line(text, format_args!("role:slave"));
            line(text, format_args!("master_host:{host}"));
            line(text, format_args!("master_port:{port}"));
            let link = if self.follows() { "up" } else { "down" };
            line(text, format_args!("master_link_status:{link}"));
            line(text, format_args!("slave_repl_offset:{}", self.offset()));
        }
        line(text, format_args!("master_repl_offset:{}", self.offset()));
    }

    fn keyspace(&self, text: &mut String) {
        let view = self.env.read(Consistency::None).wait();
        let keys = view.ok().and_then(|view| view.len(&self.database).ok()).unwrap_or(0);
        if keys > 0 {
            line(text, format_args!("db0:keys={keys},expires=0,avg_ttl=0"));
        }
    }

    fn is_master(&self) -> bool {
        self.env.state() == NodeState::Master
    }

    fn follows(&self) -> bool {
        self.env.state() == NodeState::Replica
    }

    /// The last entry of this node's log.
    fn offset(&self) -> i64 {
        let last = self.env.vlsn_range().map_or(0, |range| range.end().get());
        last.try_into().unwrap_or(i64::MAX)
    }

    /// The members that follow this master, and what they have on stable storage.
    fn replicas(&self) -> Vec<(Member, u64)> {
        let stats = self.env.stats().replicas;
        let connected = stats.into_iter().filter(|replica| replica.connected);
        let members = self.env.members();
        connected
            .filter_map(|replica| {
                let member = members.iter().find(|member| member.name == replica.name)?;
                Some((member.clone(), replica.synced.unwrap_or(0)))
            })
            .collect()
    }
}

/// Where a member's Redis port is; that of its own port if it has announced none.
fn host_and_port(member: &Member) -> (String, String) {
    let announced = Some(port_of(member)).filter(|port| *port != "?");
    let (host, port) =
        announced.unwrap_or(&member.address).rsplit_once(':').unwrap_or((&member.address, "0"));
    (host.trim_matches(['[', ']']).to_owned(), port.to_owned())
}

fn is(section: &[u8], name: &str) -> bool {
    section.eq_ignore_ascii_case(name.as_bytes())
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).and_then(|()| text.write_str("\r\n")).expect("a String takes any text");
}
