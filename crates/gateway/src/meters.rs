//! What is counted of calls, logins and sessions, for whoever watches over the gateway.
//!
//! Labels are names out of the configuration and words of closed sets, never what an agent sends or what a
//! run is called: there are as many series at the end of a year as at the start. Every series of a target is
//! there from the start, with zero, and who counts has its counter in hand.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_action::Class;
use bailiwick_audit::{Outcome, State};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::target::Target;

/// The longest time of each sort of call, in seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0,
];

/// What is decided of a call.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// It is let through.
    Allow,
    /// It is not.
    Deny,
    /// It is put before people. What they say is counted as well.
    Hold,
}

impl Verdict {
    const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::Hold];

    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Hold => "hold",
        }
    }
}

const CLASSES: [Class; 5] = [
    Class::Session,
    Class::Read,
    Class::Write,
    Class::Destroy,
    Class::Admin,
];

const STATES: [State; 5] = [
    State::Ok,
    State::Error,
    State::Cut,
    State::Skipped,
    State::Indeterminate,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTarget {
    target: String,
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCall {
    target: String,
    protocol: &'static str,
    decision: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    target: String,
    protocol: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProtocol {
    protocol: &'static str,
}

/// All that is counted.
#[derive(Default)]
pub(crate) struct Meters {
    targets: HashMap<String, Arc<Meter>>,
    families: Families,
    /// Logins that failed.
    pub(crate) logins_denied: Counter,
    listening: Gauge,
    /// Connections for which there was no place.
    pub(crate) turned_away: Counter,
}

#[derive(Clone)]
struct Families {
    calls: Family<OfCall, Counter>,
    outcomes: Family<OfOutcome, Counter>,
    seconds: Family<OfTarget, Histogram, fn() -> Histogram>,
    masked: Family<OfTarget, Counter>,
    running: Family<OfTarget, Gauge>,
    sessions: Family<OfTarget, Gauge>,
    connections: Family<OfProtocol, Gauge>,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            outcomes: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            masked: Family::default(),
            running: Family::default(),
            sessions: Family::default(),
            connections: Family::default(),
        }
    }
}

/// What is counted of one target.
pub(crate) struct Meter {
    /// By what is decided, and by class.
    calls: [[Counter; CLASSES.len()]; Verdict::ALL.len()],
    outcomes: [Counter; STATES.len()],
    seconds: Histogram,
    masked: Counter,
    running: Gauge,
    sessions: Gauge,
}

impl Meters {
    /// For these targets.
    pub(crate) fn new<'t>(targets: impl Iterator<Item = &'t Target>) -> Self {
        let families = Families::default();
        let targets = targets.map(|target| {
            let meter = Meter::new(&families, &target.name, target.protocol.name);
            (target.name.clone(), Arc::new(meter))
        });
        Self {
            targets: targets.collect(),
            families,
            ..Self::default()
        }
    }

    /// That of a target.
    pub(crate) fn of(&self, target: &Target) -> Arc<Meter> {
        match self.targets.get(&target.name) {
            Some(meter) => Arc::clone(meter),
            None => Arc::new(Meter::new(
                &self.families,
                &target.name,
                target.protocol.name,
            )),
        }
    }

    /// A connection of an agent, until it is dropped.
    pub(crate) fn connection(&self, protocol: &'static str) -> Level {
        let of = OfProtocol { protocol };
        Level::new(self.families.connections.get_or_create_owned(&of))
    }

    /// A listener, until it is dropped.
    pub(crate) fn listening(&self) -> Level {
        Level::new(self.listening.clone())
    }

    /// How many listeners take connections.
    pub(crate) fn listeners(&self) -> u64 {
        u64::try_from(self.listening.get()).unwrap_or_default()
    }

    /// How many calls are let through and have not ended.
    pub(crate) fn running(&self) -> u64 {
        let running = self.targets.values().map(|meter| meter.running.get());
        u64::try_from(running.sum::<i64>()).unwrap_or_default()
    }

    /// Puts all of it where it is read.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Families {
            calls,
            outcomes,
            seconds,
            masked,
            running,
            sessions,
            connections,
        } = self.families.clone();
        registry.register(
            "calls",
            "Calls of agents, by what was decided and by the heaviest class of what they do",
            calls,
        );
        registry.register(
            "call_outcomes",
            "Calls that were let through and have ended, by how",
            outcomes,
        );
        registry.register_with_unit(
            "call_duration",
            "How long calls took, from the decision to the end of the answer",
            Unit::Seconds,
            seconds,
        );
        registry.register(
            "calls_running",
            "Calls that were let through and have not ended",
            running,
        );
        registry.register(
            "values_masked",
            "Values that were masked on the way to agents",
            masked,
        );
        registry.register(
            "sessions",
            "Sessions of runs at targets that are open",
            sessions,
        );
        registry.register(
            "connections",
            "Connections of agents that are open",
            connections,
        );
        registry.register(
            "listeners",
            "Listeners for agents that take connections",
            self.listening.clone(),
        );
        registry.register(
            "connections_turned_away",
            "Connections of agents that were closed because there were too many",
            self.turned_away.clone(),
        );
        registry.register(
            "logins_denied",
            "Logins of agents that failed, and sessions outside of a scope",
            self.logins_denied.clone(),
        );
    }
}

impl Meter {
    fn new(families: &Families, target: &str, protocol: &'static str) -> Self {
        let of = OfTarget {
            target: target.to_owned(),
            protocol,
        };
        let call = |verdict: Verdict, class: Class| {
            families.calls.get_or_create_owned(&OfCall {
                target: target.to_owned(),
                protocol,
                decision: verdict.as_str(),
                class: class.as_str(),
            })
        };
        Self {
            calls: Verdict::ALL.map(|verdict| CLASSES.map(|class| call(verdict, class))),
            outcomes: STATES.map(|state| {
                families.outcomes.get_or_create_owned(&OfOutcome {
                    target: target.to_owned(),
                    protocol,
                    state: name(state),
                })
            }),
            seconds: families.seconds.get_or_create_owned(&of),
            masked: families.masked.get_or_create_owned(&of),
            running: families.running.get_or_create_owned(&of),
            sessions: families.sessions.get_or_create_owned(&of),
        }
    }

    /// A call was decided. That of a call that was not understood is its class: admin.
    pub(crate) fn decided(&self, verdict: Verdict, class: Class) {
        let of_verdict = self.calls.get(verdict as usize);
        let counter = of_verdict.and_then(|counters| counters.get(class as usize));
        if let Some(counter) = counter {
            counter.inc();
        }
    }

    /// A call that was let through, until it is dropped.
    pub(crate) fn begun(&self) -> Level {
        Level::new(self.running.clone())
    }

    /// A call that was let through has ended.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        let state = outcome.state;
        let at = STATES.iter().position(|one| *one == state);
        if let Some(counter) = at.and_then(|at| self.outcomes.get(at)) {
            counter.inc();
        }
        self.seconds.observe(outcome.micros as f64 / 1e6);
        self.masked.inc_by(outcome.masked);
    }

    /// A session, until it is dropped.
    pub(crate) fn session(&self) -> Level {
        Level::new(self.sessions.clone())
    }
}

fn name(state: State) -> &'static str {
    match state {
        State::Cut => "cut",
        State::Error => "error",
        State::Indeterminate => "indeterminate",
        State::Ok => "ok",
        State::Skipped => "skipped",
    }
}

/// One more of something, until it is dropped.
#[derive(Debug)]
pub(crate) struct Level(Gauge);

impl Level {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_and_state_has_its_place() {
        for (at, class) in CLASSES.into_iter().enumerate() {
            assert_eq!(class as usize, at);
        }
        for (at, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, at);
        }
    }

    #[test]
    fn what_is_counted_is_there_to_be_read() {
        let meters = Meters::default();
        let meter = Meter::new(&meters.families, "tick\"ets\n", "postgres");
        meter.decided(Verdict::Deny, Class::Destroy);
        meter.decided(Verdict::Allow, Class::Read);
        drop(meter.begun());
        meter.ended(&Outcome {
            state: State::Ok,
            rows: 0,
            bytes: 0,
            digest: None,
            masked: 3,
            error: None,
            micros: 1_500,
        });
        let session = meter.session();
        let mut registry = Registry::with_prefix("bailiwick");
        meters.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"bailiwick_calls_total{target="tick\"ets\n",protocol="postgres",decision="deny",class="destroy"} 1"#,
            r#"bailiwick_call_outcomes_total{target="tick\"ets\n",protocol="postgres",state="ok"} 1"#,
            r#"bailiwick_call_duration_seconds_sum{target="tick\"ets\n",protocol="postgres"} 0.0015"#,
            r#"bailiwick_calls_running{target="tick\"ets\n",protocol="postgres"} 0"#,
            r#"bailiwick_values_masked_total{target="tick\"ets\n",protocol="postgres"} 3"#,
            r#"bailiwick_sessions{target="tick\"ets\n",protocol="postgres"} 1"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
        }
        drop(session);
        assert_eq!(meter.sessions.get(), 0);
    }
}
