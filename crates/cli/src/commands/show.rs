//! `bailiwick show`: one record with everything that belongs to it.

use std::process::ExitCode;

use bailiwick_audit::Record;
use bailiwick_control::Chain;
use bailiwick_control::api::TrailRecord;
use clap::Args;

use crate::commands::page::Page;
use crate::commands::source::SourceArgs;
use crate::failure::Failure;
use crate::render;

/// Show one record in full, with what the agent wrote
#[derive(Args)]
#[command(
    after_help = "Example:\n  bailiwick show run_01JD5K3T9V8Z0W2Y4X6A7B8C9D/7\n  bailiwick show last/7"
)]
pub(crate) struct Show {
    /// Its name: RUN/NUMBER, where RUN may be `last`, or `gateway` for the gateway's own records
    #[arg(value_name = "RECORD")]
    name: String,
    /// Print JSON: the exact record, its digest and its payload
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

impl Show {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let (chain, seq) = self
            .name
            .rsplit_once('/')
            .and_then(|(chain, seq)| Some((chain, seq.parse::<u64>().ok()?)))
            .ok_or_else(|| {
                Failure::new(format!("`{}` names no record", self.name))
                    .help("a record's name is RUN/NUMBER; `bailiwick trail RUN` shows the numbers")
            })?;
        self.source.ask(async |source| {
            let chain = match chain {
                "gateway" => Chain::Gateway,
                run => Chain::Run(source.find(run).await?),
            };
            let record = source.record(chain, seq).await?;
            if self.json {
                render::print_json(&record)
            } else {
                render::print(&describe(&record)?)
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A record as the API gives it, read.
pub(crate) fn parse(record: &TrailRecord) -> Result<Record, Failure> {
    serde_json::from_str(record.record.get()).map_err(|error| {
        Failure::new(format!("record {} cannot be read: {error}", record.id))
            .help("`bailiwick verify` says whether the log is whole")
    })
}

fn describe(shown: &TrailRecord) -> Result<String, Failure> {
    let record = parse(shown)?;
    let mut page = Page::default();
    page.heading(&shown.id);
    page.record(&record);
    page.line("digest", &shown.digest);
    page.line("previous", &record.prev);
    page.line("in the log", &format!("record {}", shown.index));
    if let Some(payload) = &shown.payload {
        page.payload(payload);
    }
    if let Some(missing) = &shown.payload_missing {
        page.line("payload", missing);
    }
    Ok(page.into_text())
}
