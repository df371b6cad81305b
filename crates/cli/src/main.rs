//! `bailiwick`, the one binary: wiring and commands, no logic.

mod commands;
mod config;
mod confine;
mod failure;
mod render;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::confined;

/// A gateway between autonomous agent runs and the systems they touch.
#[derive(Parser)]
#[command(name = "bailiwick", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(hide = true)]
    Confined(confined::Confined),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Confined(command) => command.execute(),
    };
    done.unwrap_or_else(|failure| failure.report())
}
