//! `bailiwick`, the one binary: wiring and commands, no logic.

mod commands;
mod config;
mod confine;
mod demo;
mod failure;
mod http;
mod render;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    api, approvals, close, confined, console, decide, erase, export, init, mcp, open, prune,
    receipt, reindex, reload, rotate, run, runs, search, serve, show, signer, suspend, task, trail,
    verify, verify_receipt, watch, witness,
};

/// A gateway between autonomous agent runs and the systems they touch
///
/// Each run has an identity scoped to its task; every call is checked against that scope before it
/// goes through, and recorded where the agent cannot reach it.
#[derive(Parser)]
#[command(
    name = "bailiwick",
    version,
    after_help = "Exit status: 0 done; 1 the answer is no (a log \
    that is broken, a task that is not valid); 2 it could not be done. `run` exits as its command does."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Serve(serve::Serve),
    Console(console::Console),
    Run(run::Run),
    Open(open::Open),
    Mcp(mcp::Mcp),
    Close(close::Close),
    Revoke(close::Revoke),
    Suspend(suspend::Suspend),
    Resume(suspend::Resume),
    Approvals(approvals::Approvals),
    Approve(decide::Approve),
    Deny(decide::Deny),
    Runs(runs::Runs),
    Trail(trail::Trail),
    Show(show::Show),
    Watch(watch::Watch),
    Search(search::Search),
    Verify(verify::Verify),
    Export(export::Export),
    Receipt(receipt::Receipt),
    VerifyReceipt(verify_receipt::VerifyReceipt),
    Erase(erase::Erase),
    Prune(prune::Prune),
    Rotate(rotate::Rotate),
    Reindex(reindex::Reindex),
    Task(task::Task),
    Reload(reload::Reload),
    Api(api::Api),
    Witness(witness::Witness),
    Signer(signer::Signer),
    #[command(hide = true)]
    DemoAgent(demo::DemoAgent),
    #[command(hide = true)]
    DemoCrm(demo::DemoCrm),
    #[command(hide = true)]
    DemoHelpdesk(demo::DemoHelpdesk),
    #[command(hide = true)]
    Confined(confined::Confined),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(command) => command.execute(),
        Command::Init(command) => command.execute(),
        Command::Serve(command) => command.execute(),
        Command::Console(command) => command.execute(),
        Command::Run(command) => command.execute(),
        Command::Open(command) => command.execute(),
        Command::Mcp(command) => command.execute(),
        Command::Close(command) => command.execute(),
        Command::Revoke(command) => command.execute(),
        Command::Suspend(command) => command.execute(),
        Command::Resume(command) => command.execute(),
        Command::Approvals(command) => command.execute(),
        Command::Approve(command) => command.execute(),
        Command::Deny(command) => command.execute(),
        Command::Runs(command) => command.execute(),
        Command::Trail(command) => command.execute(),
        Command::Show(command) => command.execute(),
        Command::Watch(command) => command.execute(),
        Command::Search(command) => command.execute(),
        Command::Verify(command) => command.execute(),
        Command::Export(command) => command.execute(),
        Command::Receipt(command) => command.execute(),
        Command::VerifyReceipt(command) => command.execute(),
        Command::Erase(command) => command.execute(),
        Command::Prune(command) => command.execute(),
        Command::Rotate(command) => command.execute(),
        Command::Reindex(command) => command.execute(),
        Command::Task(command) => command.execute(),
        Command::Reload(command) => command.execute(),
        Command::Api(command) => command.execute(),
        Command::Witness(command) => command.execute(),
        Command::Signer(command) => command.execute(),
        Command::DemoAgent(command) => command.execute(),
        Command::DemoCrm(command) => command.execute(),
        Command::DemoHelpdesk(command) => command.execute(),
        Command::Confined(command) => command.execute(),
    };
    done.unwrap_or_else(|failure| failure.report())
}
