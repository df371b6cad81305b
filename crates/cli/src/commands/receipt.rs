//! `bailiwick receipt`: one record's proof as a file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bailiwick_audit::{Entry, ProofFile, Reader};
use bailiwick_control::client::Client;
use clap::Args;

use crate::commands::gateway;
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render::{self, clean, count, style};

/// How long a record may take to come under a checkpoint, and that to its witnesses.
const WAIT: Duration = Duration::from_secs(6);

/// How often to look.
const POLL: Duration = Duration::from_millis(100);

/// Write a receipt: proof that one record is in the log
///
/// A receipt is one file with the record, its place in the log, and the checkpoint that covers it,
/// with its signatures. Whoever has it and the log's public key can check it without the log, with
/// `bailiwick verify-receipt` or with other tools that read C2SP tlog-proof. It holds the record as
/// it is: names of tables and people, but no statements and no data.
///
/// Needs no gateway. Exits with 0 once the receipt is written, and with 2 if there is none yet.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick receipt last/7\n  \
    bailiwick receipt run_01JD5K3T9V8Z0W2Y4X6A7B8C9D/7 -o evidence.tlog-proof\n  \
    bailiwick receipt last/7 -o - | bailiwick verify-receipt - --policy trust.policy")]
pub(crate) struct Receipt {
    /// The record: RUN/NUMBER, where RUN may be `last` or `gateway`, or the digest of its bytes
    #[arg(value_name = "RECORD")]
    name: String,
    /// The file to write, or - for the output; RUN-NUMBER.tlog-proof in this folder if not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The data folder; that of the configuration if not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
}

impl Receipt {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => self.config.load()?.data,
        };
        let reader = Reader::open(&data)?;
        let entry = find(&reader, &self.name)?;
        let receipt = prove(&reader, &entry, &data)?;
        if !receipt.is_witnessed && reader.has_witnesses() {
            render::note(
                "no quorum of witnesses has seen this record yet, so the receipt has the log's own \
                 signature only; ask again later for one that they have signed",
            );
        }
        match &self.output {
            Some(output) if output.as_os_str() == "-" => render::print(&receipt.text)?,
            output => {
                let named = || format!("{}.tlog-proof", entry.id().replace('/', "-")).into();
                let file = output.clone().unwrap_or_else(named);
                write(&file, &receipt.text)?;
                let (fine, file) = (style::FINE, file.display().to_string());
                render::print(&format!(
                    "{fine}✓{fine:#} {}: {} under a checkpoint of {}\n",
                    clean(&file),
                    clean(&entry.id()),
                    count(receipt.size, "record"),
                ))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn find(reader: &Reader, name: &str) -> Result<Entry, Failure> {
    let name = match name.strip_prefix("last/") {
        None => name.to_owned(),
        Some(seq) => format!("{}/{seq}", gateway::find_in(reader, "last")?),
    };
    let found = reader.record(&name)?;
    found.ok_or_else(|| {
        Failure::new(format!("the log has no record `{name}`")).help(
            "a record's name is RUN/NUMBER, or its digest; `bailiwick trail RUN` shows the numbers. \
             Of a record that was pruned only receipts made before are left",
        )
    })
}

/// Waits for a checkpoint that covers the record while a gateway may be making one.
fn prove(reader: &Reader, entry: &Entry, data: &Path) -> Result<ProofFile, Failure> {
    let until = Instant::now() + WAIT;
    let mut is_served = None;
    loop {
        let receipt = reader.prove(entry)?;
        let awaited = match &receipt {
            None => true,
            Some(receipt) => !receipt.is_witnessed && reader.has_witnesses(),
        };
        if awaited && Instant::now() < until && *is_served.get_or_insert_with(|| serves(data)) {
            std::thread::sleep(POLL);
            continue;
        }
        return receipt.ok_or_else(|| {
            let failure = Failure::new(format!(
                "no checkpoint covers {} yet, so there is no receipt for it",
                entry.id()
            ));
            failure.help(match is_served {
                Some(true) => "the gateway signs one about every second; try again",
                _ => "no gateway is running; the next `bailiwick serve` signs one when it starts",
            })
        });
    }
}

/// Whether a gateway has this data folder open.
fn serves(data: &Path) -> bool {
    let asked = gateway::runtime().map(|runtime| runtime.block_on(Client::connect(data)).is_ok());
    asked.unwrap_or(false)
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = std::fs::File::create(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|error| Failure::new(format!("cannot write `{}`: {error}", file.display())))
}
