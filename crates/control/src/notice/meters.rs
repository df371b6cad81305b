//! What is counted of notices, for whoever watches over the gateway. Labels are names of sinks out of the
//! configuration, and words.

use std::fmt;
use std::sync::Mutex;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry as Metrics, Unit};

use super::Notices;
use crate::clock;
use crate::live::lock;
use crate::store::Standing;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSink {
    sink: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAttempt {
    sink: String,
    result: &'static str,
}

/// All that is counted.
#[derive(Default)]
pub(super) struct Meters {
    attempts: Family<OfAttempt, Counter>,
    dropped: Family<OfSink, Counter>,
    /// How things stood when somebody last looked.
    standing: Mutex<Vec<Standing>>,
}

/// What is counted of one sink. Each of its series is there from the start, with zero.
pub(super) struct Meter {
    pub(super) delivered: Counter,
    pub(super) failed: Counter,
    pub(super) refused: Counter,
}

impl Meters {
    /// That of a sink.
    pub(super) fn of(&self, sink: &str) -> Meter {
        self.dropped(sink, 0);
        let attempts = |result| {
            self.attempts.get_or_create_owned(&OfAttempt {
                sink: sink.to_owned(),
                result,
            })
        };
        Meter {
            delivered: attempts("delivered"),
            failed: attempts("failed"),
            refused: attempts("refused"),
        }
    }

    /// So many of a sink were given up.
    pub(super) fn dropped(&self, sink: &str, count: u64) {
        let sink = sink.to_owned();
        self.dropped.get_or_create(&OfSink { sink }).inc_by(count);
    }

    pub(super) fn stand(&self, standing: Vec<Standing>) {
        *lock(&self.standing) = standing;
    }
}

impl Notices {
    /// Puts what is counted where it is read. How things stand is as [`Self::look`] found it last.
    pub(crate) fn register(&self, metrics: &mut Metrics) {
        let meters = self.meters();
        metrics.register(
            "notice_attempts",
            "Attempts to deliver a notice, by what became of them",
            meters.attempts.clone(),
        );
        metrics.register(
            "notices_dropped",
            "Notices that were given up: nobody took them in time, or there were too many",
            meters.dropped.clone(),
        );
        metrics.register_collector(Box::new(self.clone()));
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

impl Collector for Notices {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let standing = lock(&self.meters().standing).clone();
        if standing.is_empty() {
            return Ok(());
        }
        let mut gauges = |name, about, unit: Option<&Unit>, value: &dyn Fn(&Standing) -> f64| {
            let mut family = encoder.encode_descriptor(name, about, unit, MetricType::Gauge)?;
            for of in &standing {
                let gauge = ConstGauge::new(value(of));
                gauge.encode(family.encode_family(&[("sink", of.sink.as_str())])?)?;
            }
            Ok(())
        };
        let about = "Notices that wait to be delivered";
        gauges("notices_waiting", about, None, &|of| of.waiting as f64)?;
        let about = "Notices that the sink has refused for good and that are kept";
        gauges("notices_refused", about, None, &|of| of.refused as f64)?;
        let about = "How long the notice that is delivered next has waited; 0 if none waits";
        let now = clock::now().millis();
        let age = |of: &Standing| {
            let waited = of.oldest.map(|put| now.saturating_sub(put.millis()));
            waited.unwrap_or_default() as f64 / 1e3
        };
        gauges("notice_oldest_age", about, Some(&Unit::Seconds), &age)
    }
}
