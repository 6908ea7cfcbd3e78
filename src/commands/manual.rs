//! `completions` and `man`: what the program says of itself, made from its own description of the command line.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::{Generator, Shell};
use clap_mangen::Man;
use durable_inventory::cli::Cli;

use super::Failure;
use crate::terminal;

pub fn completions(shell: Shell) -> Result<u8, Failure> {
    let mut command = Cli::command();
    command.build();
    command.set_bin_name("durable-inventory");
    let mut script = Vec::new();
    shell
        .try_generate(&command, &mut script)
        .map_err(|error| Failure::new(error, 1))?;
    terminal::out(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// One page to stdout, or one a command to a folder.
pub fn pages(folder: Option<&Path>) -> Result<u8, Failure> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(Cli::command())
            .render(&mut page)
            .map_err(|error| Failure::new(error, 1))?;
        terminal::out(&String::from_utf8_lossy(&page))?;
        return Ok(0);
    };
    clap_mangen::generate_to(Cli::command(), folder).map_err(|error| Failure {
        message: format!("{}: the manual could not be written: {error}", folder.display()),
        exit_code: 1,
    })?;
    Ok(0)
}
