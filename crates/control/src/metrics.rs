//! What is measured of runs, the record, the index and the process, for whoever watches over the gateway. What
//! happens is counted as it happens; how things stand is looked up when somebody reads it.
//!
//! Labels are words of closed sets and names out of the configuration, never what a run is called.

use std::fmt;

use bailiwick_audit::{Vitals, WitnessStanding};
use bailiwick_run::Ending;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry as Metrics, Unit};

use crate::api::RunState;
use crate::registry::Registry;

mod process;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTask {
    task: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSignal {
    signal: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnding {
    ending: &'static str,
}

/// What is counted of runs.
#[derive(Default)]
pub(crate) struct RunMeters {
    opened: Family<OfTask, Counter>,
    ended: Family<OfEnding, Counter>,
    refused: Counter,
    signals: Family<OfSignal, Counter>,
}

impl RunMeters {
    /// A run of a task that there is was opened.
    pub(crate) fn opened(&self, task: &str) {
        let task = task.to_owned();
        self.opened.get_or_create(&OfTask { task }).inc();
    }

    /// A run has ended, and its closing record is there.
    pub(crate) fn ended(&self, ending: Ending) {
        let ending = ending.as_str();
        self.ended.get_or_create(&OfEnding { ending }).inc();
    }

    /// A rule of the configuration has matched.
    pub(crate) fn raised(&self, signal: &str) {
        let signal = signal.to_owned();
        self.signals.get_or_create(&OfSignal { signal }).inc();
    }

    /// A run was asked for and not opened.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }
}

impl Registry {
    /// Puts what is measured here where it is read, and what is known of the process and the program.
    pub fn register(&self, metrics: &mut Metrics, version: &str) {
        let build = Info::new(vec![("version".to_owned(), version.to_owned())]);
        metrics.register("bailiwick_build", "The program", build);
        let own = metrics.sub_registry_with_prefix("bailiwick");
        let meters = self.meters();
        own.register(
            "runs_opened",
            "Runs that were opened, by task",
            meters.opened.clone(),
        );
        own.register(
            "runs_ended",
            "Runs that have ended, by why",
            meters.ended.clone(),
        );
        own.register(
            "runs_refused",
            "Runs that were asked for and not opened",
            meters.refused.clone(),
        );
        own.register(
            "signals",
            "Signals that were raised, by their rule",
            meters.signals.clone(),
        );
        self.notices().register(own);
        own.register_collector(Box::new(Standing(self.clone())));
        process::start();
        metrics.register_collector(Box::new(process::Process));
    }
}

/// How things stand when they are looked at.
struct Standing(Registry);

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").finish_non_exhaustive()
    }
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        runs(&self.0, &mut encoder)?;
        let waiting = self.0.approvals_waiting() as u64;
        let about = "Calls that wait for somebody's yes";
        number(&mut encoder, "approvals_waiting", about, waiting)?;
        let vitals = self.0.vitals();
        log(&vitals, &mut encoder)?;
        witnesses(&vitals, &mut encoder)?;
        let index = self.0.index().state();
        number(
            &mut encoder,
            "index_records",
            "Records of the log that are in the index",
            index.records,
        )?;
        number(
            &mut encoder,
            "index_failing",
            "Whether the index cannot be kept up with the log",
            u64::from(index.failure.is_some()),
        )
    }
}

fn runs(registry: &Registry, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let mut runs = encoder.encode_descriptor(
        "runs",
        "Runs that have not ended, by how far they are",
        None,
        MetricType::Gauge,
    )?;
    for (state, count) in registry.run_states() {
        let state = match state {
            RunState::Open => "open",
            RunState::Suspended => "suspended",
            RunState::Ending => "ending",
            RunState::Ended => continue,
        };
        let gauge = ConstGauge::new(count);
        gauge.encode(runs.encode_family(&[("state", state)])?)?;
    }
    Ok(())
}

fn log(vitals: &Vitals, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let signed = vitals.signed;
    number(
        encoder,
        "log_records",
        "Records that are durable",
        vitals.records,
    )?;
    number(
        encoder,
        "log_signed_records",
        "Records that the published checkpoint covers",
        signed,
    )?;
    number(
        encoder,
        "log_queued_records",
        "Records that wait to be durable",
        vitals.queued,
    )?;
    number(
        encoder,
        "log_backlog_bytes",
        "Bytes of records that are durable and wait to be in the tree",
        vitals.backlog,
    )?;
    number(
        encoder,
        "log_writable",
        "Whether new calls can be recorded, and so allowed",
        u64::from(vitals.trouble.is_none()),
    )?;
    if let Some(at) = vitals.signed_at {
        let gauge = ConstGauge::new(at.millis() as f64 / 1e3);
        let unit = Unit::Seconds;
        let about = "When the published checkpoint was signed, if since the start";
        gauge.encode(encoder.encode_descriptor(
            "log_checkpoint_timestamp",
            about,
            Some(&unit),
            MetricType::Gauge,
        )?)?;
    }
    let counts = &vitals.appends.counts;
    let unit = Unit::Seconds;
    let about = "How long records took to be durable that somebody waited for";
    let mut histogram = encoder.encode_descriptor(
        "log_append_duration",
        about,
        Some(&unit),
        MetricType::Histogram,
    )?;
    let count = counts.iter().map(|(_, count)| count).sum();
    histogram.encode_histogram::<NoLabelSet>(vitals.appends.seconds, count, counts, None)
}

fn witnesses(vitals: &Vitals, encoder: &mut DescriptorEncoder) -> fmt::Result {
    if vitals.witnesses.is_empty() {
        return Ok(());
    }
    let about =
        "Records that the last checkpoint covers that the witness has signed since the start";
    let mut signed =
        encoder.encode_descriptor("witness_signed_records", about, None, MetricType::Gauge)?;
    for witness in &vitals.witnesses {
        let gauge = ConstGauge::new(witness.signed);
        gauge.encode(signed.encode_family(&[("witness", witness.name.as_str())])?)?;
    }
    let about = "What the witness last said: 1 for that, 0 for the rest";
    let mut states = encoder.encode_descriptor("witness_state", about, None, MetricType::Gauge)?;
    for witness in &vitals.witnesses {
        for (name, standing) in [
            ("unasked", WitnessStanding::Unasked),
            ("signs", WitnessStanding::Signs),
            ("fails", WitnessStanding::Fails),
            ("disagrees", WitnessStanding::Disagrees),
        ] {
            let gauge = ConstGauge::new(u64::from(witness.standing == standing));
            let labels = [("witness", witness.name.as_str()), ("state", name)];
            gauge.encode(states.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// One number without labels.
fn number(encoder: &mut DescriptorEncoder, name: &str, about: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, about, None, MetricType::Gauge)?)
}
