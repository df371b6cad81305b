//! Values that JSON shows as text: ids, moments, durations and names out of a fixed list.

use std::borrow::Cow;
use std::time::Duration;

use bailiwick_action::Class;
use bailiwick_run::{ApprovalId, Confinement, Ending, Launcher, RunId, Time};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// A value with one way to write it.
pub(crate) trait Text: Sized {
    /// What the text should be, for the error.
    const WHAT: &'static str;
    fn show(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

pub(crate) fn serialize<T: Text, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.show())
}

pub(crate) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    T::read(&text).ok_or_else(|| D::Error::custom(format_args!("`{text}` is not {}", T::WHAT)))
}

/// The same for a value that may be absent.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Error, Serializer, Text};

    pub(crate) fn serialize<T: Text, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        match T::read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(D::Error::custom(format_args!(
                "`{text}` is not {}",
                T::WHAT
            ))),
        }
    }
}

impl Text for RunId {
    const WHAT: &'static str = "a run id: it is `run_` and 26 characters of 0-9 and A-Z";

    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Text for ApprovalId {
    const WHAT: &'static str = "an approval id: it is `apr_` and 26 characters of 0-9 and A-Z";

    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Text for Class {
    const WHAT: &'static str = "one of session, read, write, destroy, admin";

    fn show(&self) -> String {
        self.as_str().to_owned()
    }

    fn read(text: &str) -> Option<Self> {
        crate::names::class(text)
    }
}

impl Text for Launcher {
    const WHAT: &'static str = "a launcher: it is `human:NAME` or `workflow:NAME`";

    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Text for Time {
    const WHAT: &'static str = "a moment in RFC 3339 form, UTC";

    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        crate::clock::read(text)
    }
}

impl Text for Duration {
    const WHAT: &'static str = "a duration, such as `10m` or `1h 30m`";

    fn show(&self) -> String {
        humantime::format_duration(*self).to_string()
    }

    fn read(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok()
    }
}

impl Text for Confinement {
    const WHAT: &'static str = "one of landlock, gateway-only, unconfined, elsewhere";

    fn show(&self) -> String {
        self.as_str().to_owned()
    }

    fn read(text: &str) -> Option<Self> {
        crate::names::confinement(text)
    }
}

impl Text for Ending {
    const WHAT: &'static str = "one of closed, expired, gateway-stopped, revoked";

    fn show(&self) -> String {
        self.as_str().to_owned()
    }

    fn read(text: &str) -> Option<Self> {
        crate::names::ending(text)
    }
}
