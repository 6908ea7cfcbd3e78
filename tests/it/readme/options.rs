//! docs/configuration.md lists every option, key and variable, and no page names one that does not exist.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use durable_inventory::cli::Cli;

use super::markdown::{Page, pages, root};
use super::outputs::update;
use crate::support::program::{bare, run};

const PAGE: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- options: written by `UPDATE_DOCS=1 cargo test --test it readme` -->\n";
const END: &str = "<!-- end of options -->";

/// The keys that the program accepts in its configuration file, taken from its complaint about another one.
fn keys(table: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.toml");
    fs::write(&file, format!("{table}\nnonsense = 1\n")).unwrap();
    let ended = run(bare(&["sync", "--config", file.to_str().unwrap()]));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let (_, known) = ended.stderr.split_once("expected one of").unwrap();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

pub(super) fn keys_of_the_file() -> BTreeSet<String> {
    keys("")
}

pub(super) fn keys_of_an_account() -> BTreeSet<String> {
    keys("[[accounts]]\nid = \"023e105f4ecef8ad9ca31a8372d0c353\"")
}

/// Takes `[name: value]` out of a help text.
fn take_note(help: &mut String, name: &str) -> Option<String> {
    let start = help.find(&format!("[{name}: "))?;
    let length = help[start..].find(']')?;
    let value = help[start + name.len() + 3..start + length].trim().to_owned();
    help.replace_range(start..=start + length, "");
    Some(value)
}

/// The paragraphs as sentences of one line.
fn cell(text: &str) -> String {
    let mut line = String::new();
    for paragraph in text.split("\n\n") {
        let words = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        if !line.is_empty() && !words.is_empty() {
            line.push_str(if line.ends_with(['.', ':']) { " " } else { ". " });
        }
        line.push_str(&words);
    }
    line.replace('|', "\\|")
}

fn row(arg: &Arg, keys: &BTreeSet<String>) -> String {
    let mut help = arg.get_long_help().or(arg.get_help()).unwrap().to_string();
    let noted = take_note(&mut help, "default");
    let variable = take_note(&mut help, "env");
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    let default = noted
        .or((!defaults.is_empty()).then(|| defaults.join(" ")))
        .unwrap_or_default();
    let mut option = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (_, Some(long)) => format!("--{long}"),
        _ => String::new(),
    };
    if arg.get_action().takes_values() {
        let values: Vec<_> = arg
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect();
        let names = arg
            .get_value_names()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string);
        let value = match values.is_empty() {
            true => names.collect::<Vec<_>>().join(" "),
            false => values.join("|"),
        };
        option = [option, value]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
    }
    let key = arg
        .get_long()
        .map(|long| long.replace('-', "_"))
        .filter(|key| keys.contains(key));
    let elsewhere: Vec<_> = variable
        .into_iter()
        .chain(key)
        .map(|name| format!("`{name}`"))
        .collect();
    // Words such as "off" are no value that one could type.
    let default = match default.as_str() {
        "" | "none" | "off" | "all" | "any" => default,
        value if value.contains(' ') => cell(value),
        value => format!("`{}`", cell(value)),
    };
    format!(
        "| `{}` | {default} | {} | {} |\n",
        cell(&option),
        elsewhere.join(", "),
        cell(&help)
    )
}

fn section(title: &str, args: &[&Arg], keys: &BTreeSet<String>, text: &mut String) {
    let shown: Vec<_> = args
        .iter()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
        .collect();
    if shown.is_empty() {
        return;
    }
    write!(
        text,
        "\n### {title}\n\n| option | default | variable, TOML | meaning |\n|---|---|---|---|\n"
    )
    .unwrap();
    for arg in shown {
        text.push_str(&row(arg, keys));
    }
}

/// The command itself, then its subcommands.
fn sections(command: &Command, path: &str, keys: &BTreeSet<String>, text: &mut String) {
    let args: Vec<_> = command.get_arguments().filter(|arg| !arg.is_global_set()).collect();
    section(&format!("`{path}`"), &args, keys, text);
    for within in command.get_subcommands().filter(|within| within.get_name() != "help") {
        sections(within, &format!("{path} {}", within.get_name()), keys, text);
    }
}

fn tables() -> String {
    let root = Cli::command();
    let keys = keys_of_the_file();
    let mut text = String::new();
    let global: Vec<_> = root.get_arguments().filter(|arg| arg.is_global_set()).collect();
    section("Every command", &global, &keys, &mut text);
    for command in root.get_subcommands() {
        // A file configures runs; `limit` of other commands is another one.
        let keys = if command.get_name() == "sync" {
            &keys
        } else {
            &BTreeSet::new()
        };
        sections(command, command.get_name(), keys, &mut text);
    }
    text.push('\n');
    text
}

#[test]
fn the_tables_of_options_are_those_of_the_program() {
    let page = Page::read(PAGE);
    let (before, rest) = page.text.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let tables = tables();
    if update() {
        fs::write(root().join(PAGE), [before, BEGIN, &tables, END, after].concat()).unwrap();
        return;
    }
    assert_eq!(shown, tables, "UPDATE_DOCS=1 cargo test --test it readme");
}

/// The options of all commands, as they are typed, and the names of their values.
fn long_options(command: &Command, found: &mut BTreeSet<String>) {
    for arg in command.get_arguments() {
        let aliases = arg.get_all_aliases().unwrap_or_default().into_iter();
        found.extend(
            arg.get_long()
                .into_iter()
                .chain(aliases)
                .map(|long| format!("--{long}")),
        );
        found.extend(arg.get_value_names().into_iter().flatten().map(ToString::to_string));
    }
    for within in command.get_subcommands() {
        long_options(within, found);
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

#[test]
fn every_option_that_is_named_exists() {
    // Options of other programs.
    let others = [
        "--build-arg",
        "--csv",
        "--global",
        "--help",
        "--locale",
        "--locked",
        "--no-data-checksums",
        "--now",
        "--path",
        "--release",
        "--rm",
        "--test",
        "--version",
        "--write",
    ];
    let mut known: BTreeSet<_> = others.map(str::to_owned).into();
    long_options(&Cli::command(), &mut known);
    let mut unknown = Vec::new();
    // The page about benchmarks has the options of those.
    for page in pages().iter().filter(|page| page.path != "docs/performance.md") {
        let code = page.inline_code().into_iter();
        for code in code.chain(super::commands::typed(page)) {
            for word in code
                .split_whitespace()
                .filter(|word| word.starts_with("--") && word.len() > 2)
            {
                let option = word.split(|c| !is_name(c)).next().unwrap();
                if !known.contains(option) {
                    unknown.push(format!("{}: {option} in {code}", page.path));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

/// The variables that the source of `config` reads.
fn variables() -> BTreeSet<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![root().join("src/config")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    let own = |path: &PathBuf| !path.components().any(|part| Path::new(&part).starts_with("tests"));
    let text = files.iter().filter(|path| own(path) && !path.ends_with("tests.rs"));
    let text: String = text.map(|path| fs::read_to_string(path).unwrap()).collect();
    let before_tests = text.split('"').skip(1).step_by(2).filter(|name| is_variable(name));
    before_tests.map(str::to_owned).collect()
}

fn is_variable(name: &str) -> bool {
    name.contains('_')
        && name.len() > 5
        && !name.starts_with('_')
        && !name.ends_with('_')
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[test]
fn the_table_of_variables_is_complete_and_no_page_names_another() {
    let page = Page::read(PAGE);
    let (_, table) = page.text.split_once("## Environment variables").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let listed: BTreeSet<_> = table
        .split('`')
        .filter(|name| is_variable(name))
        .map(str::to_owned)
        .collect();
    for variable in variables() {
        assert!(listed.contains(&variable), "{variable} is not in {PAGE}");
    }
    // Read by libraries, by systemd, by scripts, or in examples.
    let others = [
        "AWS_ENDPOINT_URL",
        "EXIT_CODE",
        "HTTP_PROXY",
        "OBJECT_ID",
        "STAGING_TOKEN",
        "UPDATE_DOCS",
    ];
    let mut values = BTreeSet::new();
    long_options(&Cli::command(), &mut values);
    let mut unknown = Vec::new();
    for page in pages() {
        let code = page.inline_code().into_iter().chain(super::commands::typed(&page));
        for code in code {
            for name in code.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')) {
                if !is_variable(name) {
                    continue;
                }
                if !listed.contains(name) && !others.contains(&name) && !values.contains(name) {
                    unknown.push(format!("{}: {name} in {code}", page.path));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
