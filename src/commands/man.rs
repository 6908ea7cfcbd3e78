//! `man`: the manual, generated from the description of the command line.

use std::path::Path;
use std::{fs, io};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use durable_inventory::cli::Cli;

use crate::terminal::{self, Failure};

/// Writes one page to stdout, or one per command to a folder.
pub fn run(folder: Option<&Path>) -> Result<u8, Failure> {
    let Some(folder) = folder else {
        let page = page(&Man::new(Cli::command())).map_err(|error| Failure::new(error, 1))?;
        terminal::out(&page)?;
        return Ok(0);
    };
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    write_pages(&root, folder).map_err(|error| Failure {
        message: format!("{}: could not write the manual: {error}", folder.display()),
        exit_code: 1,
    })?;
    Ok(0)
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for within in command.get_subcommands() {
        write_pages(within, folder)?;
    }
    let man = Man::new(command.clone());
    fs::write(folder.join(man.get_filename()), page(&man)?)
}

fn page(man: &Man) -> io::Result<String> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok(keep_lines(&String::from_utf8_lossy(&page)))
}

/// Turns filling off for indented lines: lists, tables and examples.
fn keep_lines(page: &str) -> String {
    let mut kept = String::with_capacity(page.len());
    let mut within = false;
    for line in page.lines() {
        if line.starts_with(' ') != within {
            within = !within;
            kept.push_str(if within { ".nf\n" } else { ".fi\n" });
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_lines_are_not_filled() {
        assert_eq!(keep_lines("a\n  b\n  c\nd\n"), "a\n.nf\n  b\n  c\n.fi\nd\n");
    }
}
