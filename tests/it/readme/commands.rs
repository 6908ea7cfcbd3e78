//! Every command that a page shows is one that the program, or the checkout, has.

use clap::{CommandFactory, Parser};
use durable_inventory::cli::Cli;

use super::markdown::{Page, pages, root};

/// Programs of others, which a test can't run or which have tests of their own.
const OTHERS: [&str; 22] = [
    "cargo",
    "cd",
    "chmod",
    "docker",
    "echo",
    "export",
    "git",
    "grep",
    "head",
    "initdb",
    "install",
    "journalctl",
    "jq",
    "kubectl",
    "man",
    "mv",
    "npm",
    "pg_upgrade",
    "psql",
    "rm",
    "set",
    "systemctl",
];

/// The commands of a line, each as its words. Redirections and their targets are left out.
pub fn split(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut skip_next = false;
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '|' | '&' | ';' | '>' | '<') => {
                if let Some(word) = word.take()
                    && !std::mem::take(&mut skip_next)
                {
                    commands.last_mut().unwrap().push(word);
                }
                match c {
                    '>' | '<' => skip_next = true,
                    '|' | '&' | ';' => commands.push(Vec::new()),
                    _ => {}
                }
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "{line}");
    commands.retain(|words| !words.is_empty());
    commands
}

/// The lines of a page that a reader may type.
pub fn typed(page: &Page) -> Vec<String> {
    let mut lines = Vec::new();
    for block in page.blocks() {
        let text = block.text.replace("\\\n", "");
        lines.extend(text.lines().filter_map(|line| {
            match block.language {
                "sh" => Some(line.trim().to_owned()),
                "console" => line.strip_prefix("$ ").map(str::to_owned),
                "cron" => line
                    .splitn(6, char::is_whitespace)
                    .nth(5)
                    .map(|line| line.replace("\\%", "%")),
                "ini" => line.strip_prefix("ExecStart=").map(str::to_owned),
                _ => None,
            }
        }));
    }
    let inline = page.inline_code().into_iter();
    lines.extend(inline.filter(|code| code.starts_with("durable-inventory ") || code.contains("scripts/")));
    lines
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

#[test]
fn every_command_parses() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for page in pages() {
        for line in typed(&page) {
            for words in split(&line) {
                let words: Vec<_> = words.into_iter().skip_while(|word| is_assignment(word)).collect();
                let Some(program) = words.first() else { continue };
                let name = program.rsplit('/').next().unwrap();
                if name == "durable-inventory" {
                    // `diff` looks for its files already here; its examples are run.
                    let unknown = Cli::try_parse_from(&words).err().filter(|error| {
                        error.use_stderr()
                            && !error
                                .to_string()
                                .contains("neither an existing file or folder nor a point in time")
                    });
                    wrong.extend(unknown.map(|error| format!("{}: {line}\n{error}", page.path)));
                    tried += 1;
                } else if program.contains("scripts/") {
                    assert!(root().join(program).is_file(), "{}: {line}", page.path);
                } else {
                    let known = OTHERS.contains(&name) || ["benches/", "target/"].iter().any(|at| program.contains(at));
                    assert!(known, "{}: {line}: {program}", page.path);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 40, "{tried}");
}

#[test]
fn a_line_is_split_as_a_shell_does() {
    let split = |line| split(line).into_iter().map(|words| words.join("|")).collect::<Vec<_>>();
    assert_eq!(split("A=b c 'd e' --f='g h' # i"), ["A=b|c|d e|--f=g h"]);
    assert_eq!(split("a > b | c \"d|e\" && f"), ["a", "c|d|e", "f"]);
}

/// The codes that the table explains, in the order in which they are decided.
#[test]
fn the_exit_codes_are_those_of_the_help() {
    let mut root = Cli::command();
    let help = root.find_subcommand_mut("sync").unwrap().render_long_help().to_string();
    let (_, after) = help.split_once("Exit codes").unwrap();
    let first_word = |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<u8>().ok());
    let said: Vec<_> = after
        .lines()
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter_map(first_word)
        .collect();
    let page = Page::read("docs/operations.md");
    let (_, table) = page.text.split_once("## Exit codes").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let shown: Vec<_> = rows.filter_map(first_word).collect();
    assert_eq!(shown, said);
    assert!(said.len() >= 7, "{said:?}");
}

/// The versions that the README requires.
#[test]
fn the_required_versions_are_those_of_the_program() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, after) = manifest.split_once("\nrust-version = \"").unwrap();
    let rust = format!("Rust {} or newer", after.split_once('"').unwrap().0);
    let readme = Page::read("README.md").text;
    assert!(readme.contains(&rust), "{rust}");
}
