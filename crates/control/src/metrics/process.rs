//! What the system says of this process, under the names that all programs use
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>). What it does not say is
//! left out.

use std::fmt;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// When this was first looked at: at the start.
static STARTED: LazyLock<f64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
});

/// This process.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        let about = "Processor time of the process";
        ConstCounter::new(cpu).encode(encoder.encode_descriptor(
            "process_cpu",
            about,
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?)?;
        gauge(
            &mut encoder,
            "process_start_time",
            "When the process started",
            Some(&Unit::Seconds),
            Some(*STARTED),
        )?;
        let bytes = Some(&Unit::Bytes);
        let resident = resident().map(|bytes| bytes as f64);
        let about = "Memory of the process";
        gauge(
            &mut encoder,
            "process_resident_memory",
            about,
            bytes,
            resident,
        )?;
        let open = std::fs::read_dir("/proc/self/fd").map(|files| files.count());
        let open = open.ok().map(|count| count as f64);
        gauge(
            &mut encoder,
            "process_open_fds",
            "Files that are open",
            None,
            open,
        )?;
        let max = getrlimit(Resource::Nofile).current.map(|max| max as f64);
        gauge(
            &mut encoder,
            "process_max_fds",
            "Files that may be open",
            None,
            max,
        )
    }
}

/// Starts the clock of the process.
pub(super) fn start() {
    LazyLock::force(&STARTED);
}

fn gauge(
    encoder: &mut DescriptorEncoder,
    name: &str,
    about: &str,
    unit: Option<&Unit>,
    value: Option<f64>,
) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    ConstGauge::new(value).encode(encoder.encode_descriptor(
        name,
        about,
        unit,
        MetricType::Gauge,
    )?)
}

/// Resident memory, in bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
