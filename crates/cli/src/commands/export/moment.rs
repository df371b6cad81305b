//! Where an export begins or ends, as people and shippers say it.

use std::str::FromStr;

use bailiwick_audit::Place;
use bailiwick_run::Time;

use crate::failure::Failure;
use crate::render;

/// A moment, or a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Time(Time),
    /// The record of this index; of the log of this origin, if one is named.
    Record {
        origin: Option<String>,
        index: u64,
    },
}

impl Moment {
    /// The place in the log of this origin.
    pub(super) fn place(&self, log: &str) -> Result<Place, Failure> {
        match self {
            Self::Time(time) => Ok(Place::Time(*time)),
            Self::Record {
                origin: Some(origin),
                ..
            } if origin != log => Err(Failure::new(format!(
                "`{origin}` is another log; this one is `{log}`"
            ))
            .help("if the log was rotated, its new one begins with `#0`")),
            Self::Record { index, .. } => Ok(Place::Index(*index)),
        }
    }
}

/// `2026-03-01T09:30:00Z`, `2h` (ago), `#1234`, or `acme.example/bailiwick#1234`.
impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NONE: &str = "it is RFC 3339 (2026-03-01T09:30:00Z), how long ago (2h), or a record \
                            (#1234)";
        if let Some((origin, index)) = text.rsplit_once('#') {
            return Ok(Self::Record {
                origin: (!origin.is_empty()).then(|| origin.to_owned()),
                index: index.parse().map_err(|_| NONE)?,
            });
        }
        if let Ok(ago) = humantime::parse_duration(text) {
            let ago = u64::try_from(ago.as_millis()).map_err(|_| NONE)?;
            let millis = render::now().millis().saturating_sub(ago);
            return Ok(Self::Time(Time::from_millis(millis)));
        }
        text.parse().map(Self::Time).map_err(|_| NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_shippers_are_understood() {
        let record = |origin: Option<&str>, index| Moment::Record {
            origin: origin.map(str::to_owned),
            index,
        };
        assert_eq!("#0".parse(), Ok(record(None, 0)));
        let named = record(Some("acme.example/bailiwick"), 1234);
        assert_eq!("acme.example/bailiwick#1234".parse(), Ok(named.clone()));
        assert_eq!(
            "2026-03-01T10:30:00+01:00".parse::<Moment>(),
            "2026-03-01T09:30:00Z".parse()
        );
        let Ok(Moment::Time(ago)) = "2h 30m".parse() else {
            panic!("no moment");
        };
        let minutes = ago.until(render::now()).as_secs() / 60;
        assert!((149..=151).contains(&minutes), "{minutes}");
        for wrong in ["", "1234", "#", "#-1", "#x", "yesterday", "2026-03-01"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }

        assert!(named.place("acme.example/bailiwick").is_ok());
        assert!(named.place("acme.example/other").is_err());
    }
}
