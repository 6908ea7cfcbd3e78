//! `completions`: a shell's completions, generated from the description of the command line.

use clap::CommandFactory;
use clap_complete::{Generator, Shell};
use durable_inventory::cli::Cli;

use crate::terminal::{self, Failure};

pub fn run(shell: Shell) -> Result<u8, Failure> {
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
