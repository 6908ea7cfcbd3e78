//! The licences, duplicates and sources of all crates, by the lists in deny.toml. `cargo deny check` tells more, but takes
//! longer to build than all of these tests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Deny {
    graph: Platforms,
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Platforms {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
    #[serde(rename = "skip-tree")]
    skip_tree: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    name: String,
}

impl Skip {
    /// `NAME@VERSION`, where the version may lack its last numbers.
    fn matches(&self, package: &Package) -> bool {
        let (name, version) = self.name.split_once('@').unwrap();
        let found = package.version.strip_prefix(version);
        package.name == name && found.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
}

/// What is compiled for any of the platforms, tests included: the licences of each package, and what it depends on.
#[derive(Default)]
struct Graph {
    licences: BTreeMap<Package, String>,
    dependencies: BTreeMap<Package, BTreeSet<Package>>,
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Graph {
    /// Adds one platform. `cargo metadata` would also list what optional features need that nobody uses.
    fn add(&mut self, target: &str) {
        let tree = ["tree", "--workspace", "--all-features", "--locked", "--target", target];
        let form = [
            "--edges",
            "normal,build,dev",
            "--prefix",
            "depth",
            "--format",
            "|{p}|{l}|",
        ];
        let mut above: Vec<Package> = Vec::new();
        for line in cargo(&[&tree[..], &form].concat())
            .lines()
            .filter(|line| !line.is_empty())
        {
            let mut fields = line.split('|');
            let mut field = || fields.next().unwrap();
            let (depth, package, licence) = (field().parse().unwrap(), field(), field());
            let mut words = package.split(' ');
            let package = Package {
                name: words.next().unwrap().to_owned(),
                version: words.next().unwrap().trim_start_matches('v').to_owned(),
            };
            above.truncate(depth);
            if let Some(parent) = above.last() {
                self.dependencies
                    .entry(parent.clone())
                    .or_default()
                    .insert(package.clone());
            }
            self.licences.insert(package.clone(), licence.to_owned());
            above.push(package);
        }
    }
}

/// Whether an SPDX expression can be fulfilled with these licences.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut words = words.as_slice();
    let result = any_of(&mut words, allowed);
    result && words.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut result = all_of(words, allowed);
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        result |= all_of(words, allowed);
    }
    result
}

fn all_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut result = one(words, allowed);
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        result &= one(words, allowed);
    }
    result
}

fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    if *first == "(" {
        let result = any_of(words, allowed);
        *words = words.strip_prefix(&[")"]).unwrap_or(&["missing )"]);
        return result;
    }
    match words {
        ["WITH", exception, rest @ ..] => {
            let license = format!("{first} WITH {exception}");
            *words = rest;
            allowed.contains(&license)
        }
        _ => allowed.contains(*first),
    }
}

#[test]
fn expressions_of_licences_are_read() {
    let allowed = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 AND ISC", true),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("(MIT OR GPL-3.0) AND Zlib", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("(MIT", false),
        ("MIT ISC", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

#[test]
#[ignore = "downloads the crates of other platforms: scripts/test --all"]
fn every_dependency_is_within_the_lists_of_deny_toml() {
    let deny = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap();
    let deny: Deny = toml::from_str(&deny).unwrap();
    let mut graph = Graph::default();
    deny.graph.targets.iter().for_each(|target| graph.add(target));
    assert!(graph.licences.len() > 200, "{}", graph.licences.len());
    let mut problems = licences(&deny.licenses, &graph);
    problems.extend(duplicates(&deny.bans, &graph));
    problems.extend(sources());
    assert!(problems.is_empty(), "{problems:#?}");
}

fn licences(lists: &Licenses, graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    for (Package { name, version }, licence) in &graph.licences {
        let mut allowed = lists.allow.clone();
        let exceptions = lists.exceptions.iter().filter(|exception| exception.name == *name);
        allowed.extend(exceptions.flat_map(|exception| exception.allow.clone()));
        if !is_allowed(licence, &allowed) {
            problems.push(format!("{name} {version} has the licence {licence:?}"));
        }
    }
    problems
}

/// A crate in several versions, unless deny.toml has a reason; and an entry there that has no effect.
fn duplicates(lists: &Bans, graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    let mut skipped = BTreeSet::new();
    let skips = lists.skip.iter().map(|skip| (false, skip));
    for (is_tree, skip) in skips.chain(lists.skip_tree.iter().map(|skip| (true, skip))) {
        let mut open: Vec<_> = graph.licences.keys().filter(|package| skip.matches(package)).collect();
        if open.is_empty() {
            problems.push(format!("deny.toml skips {}, which is not used", skip.name));
        }
        while let Some(package) = open.pop() {
            if skipped.insert(package) && is_tree {
                open.extend(graph.dependencies.get(package).into_iter().flatten());
            }
        }
    }
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for package in graph.licences.keys().filter(|package| !skipped.contains(package)) {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    problems.extend(several.map(|(name, versions)| format!("{name} is used in several versions: {versions:?}")));
    problems
}

/// Crates from anywhere but crates.io and this repository, and requirements of any version.
fn sources() -> Vec<String> {
    let mut problems = Vec::new();
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let sources: BTreeSet<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert!(!sources.is_empty());
    for source in sources {
        if source != "\"registry+https://github.com/rust-lang/crates.io-index\"" {
            problems.push(format!("a crate comes from {source}"));
        }
    }
    let ours: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version=1", "--no-deps", "--locked"])).unwrap();
    for package in ours["packages"].as_array().unwrap() {
        for one in package["dependencies"].as_array().unwrap() {
            if one["req"] == "*" && one["path"].is_null() {
                problems.push(format!("{} takes any version of {}", package["name"], one["name"]));
            }
        }
    }
    problems
}
