//! The object that `rep status --json` prints: what is documented is there, and what is there is documented.

use crate::group::{Group, rep};
use serde_json::Value;
use std::collections::BTreeSet;

const DOCS: &str = include_str!("../../../../docs/status.md");

/// The keys of the tables, first of the object, then of a replica.
fn documented() -> [BTreeSet<String>; 2] {
    let object = DOCS.split("## The object").nth(1).unwrap();
    let mut parts = object.split("Of each other member");
    [(); 2].map(|()| {
        let rows = parts.next().unwrap().lines().filter(|line| line.starts_with("| `"));
        let keys =
            rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
        keys.map(ToOwned::to_owned).collect()
    })
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// The object's own keys, and those of `me` and of the items of `members`, as the table writes them.
fn paths(report: &Value) -> BTreeSet<String> {
    let below = |name: &str, value: &Value| -> Vec<String> {
        keys(value).into_iter().map(|key| format!("{name}.{key}")).collect()
    };
    let mut paths: BTreeSet<String> = keys(report);
    paths.remove("me");
    paths.remove("members");
    paths.extend(below("me", &report["me"]));
    paths.extend(below("members[]", &report["members"][0]));
    if report["restore"].is_object() {
        paths.extend(below("restore", &report["restore"]));
    }
    paths
}

/// Of a member that was given a copy: one that was not has no more to say of it.
pub(crate) fn assert_documented(report: &Value) {
    let [object, _] = documented();
    assert_eq!(paths(report), object);
}

#[test]
fn the_json_of_status_has_just_the_keys_that_are_documented() {
    let group = Group::steady(3);
    let master = group.master();
    let output = rep().args(["status", &group.addresses[master], "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [mut object, replica] = documented();
    object.retain(|key| !key.starts_with("restore."));
    assert_eq!(paths(&report), object);
    let replicas = report["stats"]["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 2);
    for one in replicas {
        assert_eq!(keys(one), replica);
    }
    let members = report["members"].as_array().unwrap();
    for member in members.iter().filter(|member| member["is_me"] == false) {
        assert_eq!(keys(&member["replica"]), replica);
        assert_eq!(keys(&member["member"]), keys(&report["me"]));
    }
    assert_eq!(report["group_name"], "bank");
}
