//! `bailiwick verify-receipt`: checks a receipt with public keys alone.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_audit::{Cosigned, Proven, verify_receipt};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::commands::page::Page;
use crate::commands::trust::TrustArgs;
use crate::failure::Failure;
use crate::render::{self, clean, count, style};

/// The exit status for a receipt that shows nothing.
const BROKEN: u8 = 1;

/// More than the longest receipt has.
const MAX_FILE: u64 = 1024 * 1024;

/// Check a receipt, with public keys alone
///
/// Needs neither the log nor a gateway nor the network. Says what the record says, and which
/// witnesses had seen the log with it by when.
///
/// Exits with 0 if the record is in the log, with 1 if the receipt does not show that (it was altered,
/// another log's key signed it, or too few witnesses did), and with 2 if it could not be checked (a
/// file that cannot be read, a key or a policy that is not right).
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick verify-receipt run_01JD5K3T9V8Z0W2Y4X6A7B8C9D-7.tlog-proof --policy trust.policy\n  \
    bailiwick verify-receipt evidence.tlog-proof --key 'acme.example/bailiwick+1a2b3c4d+AbC…'")]
pub(crate) struct VerifyReceipt {
    /// The receipt, or - for the input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl VerifyReceipt {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let policy = self.trust.required()?;
        let receipt = read(&self.file)?;
        match verify_receipt(&receipt, &policy) {
            Ok(proven) => {
                let has_witnesses = !policy.needs_no_witness();
                if self.json {
                    render::print_json(&Verdict::Whole(&Whole::new(&proven, has_witnesses)))?;
                } else {
                    render::print(&describe(&proven, has_witnesses))?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(why) => {
                let message = why.to_string();
                if self.json {
                    render::print_json(&Verdict::Broken { message: &message })?;
                } else {
                    let style = style::DENIED;
                    render::print(&format!("{style}✗ broken:{style:#} {}\n", clean(&message)))?;
                }
                Ok(ExitCode::from(BROKEN))
            }
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match file.as_os_str().as_encoded_bytes() {
        b"-" => std::io::stdin().take(MAX_FILE).read_to_end(&mut bytes),
        _ => std::fs::File::open(file).and_then(|open| open.take(MAX_FILE).read_to_end(&mut bytes)),
    };
    read.map_err(|error| {
        Failure::new(format!(
            "cannot read the receipt `{}`: {error}",
            file.display()
        ))
    })?;
    Ok(bytes)
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum Verdict<'a> {
    Whole(&'a Whole<'a>),
    Broken { message: &'a str },
}

#[derive(Serialize)]
struct Whole<'a> {
    id: String,
    digest: String,
    index: u64,
    record: Value,
    origin: &'a str,
    records: u64,
    root: String,
    /// Nothing if the policy asks for no witness.
    quorum: Option<bool>,
    witnesses: &'a [Cosigned],
    unknown: Vec<&'static str>,
}

impl<'a> Whole<'a> {
    fn new(proven: &'a Proven, has_witnesses: bool) -> Self {
        let (entry, checkpoint) = (&proven.entry, &proven.checkpoint);
        Self {
            id: entry.id(),
            digest: entry.digest().to_string(),
            index: entry.index,
            // It was read as a record already.
            record: serde_json::from_slice(&entry.bytes).unwrap_or_default(),
            origin: &checkpoint.origin,
            records: checkpoint.size,
            root: checkpoint.root.to_string(),
            quorum: has_witnesses.then_some(checkpoint.quorum),
            witnesses: &checkpoint.cosigned,
            unknown: unknown(has_witnesses),
        }
    }
}

fn describe(proven: &Proven, has_witnesses: bool) -> String {
    let (entry, checkpoint) = (&proven.entry, &proven.checkpoint);
    let (fine, dim) = (style::FINE, style::DIM);
    let mut page = Page::default();
    page.heading(&entry.id());
    page.record(&entry.record);
    page.line("digest", &entry.digest().to_string());
    page.line("in the log", &format!("record {}", entry.index));
    let mut text = format!(
        "{fine}✓ whole:{fine:#} {} is in the log {}, under a checkpoint of {}\n",
        clean(&entry.id()),
        clean(&checkpoint.origin),
        count(checkpoint.size, "record"),
    );
    for seen in &checkpoint.cosigned {
        text.push_str(&format!(
            "  {} had seen it by {}\n",
            clean(&seen.witness),
            seen.time
        ));
    }
    text.push('\n');
    text.push_str(&page.into_text());
    text.push('\n');
    for words in unknown(has_witnesses) {
        text.push_str(&format!("  {dim}{words}{dim:#}\n"));
    }
    text
}

/// What no receipt can show, or not this one.
fn unknown(has_witnesses: bool) -> Vec<&'static str> {
    let mut unknown = vec![
        "It shows this one record as it was made, and not whether the run's other records are all \
         there, or what came of a call: that is for `verify`, and for the receipt of the record \
         with the outcome.",
    ];
    if !has_witnesses {
        unknown.push(
            "No witness was asked for: whoever holds the log's signing key could have made a log for \
             this receipt that nobody else has seen. A policy with witnesses rules that out.",
        );
    }
    unknown
}
