//! How the API's description tells texts with a form of their own: what [`text`](super::text) shows and reads.

use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// Makes a schema: its name, what it is, the pattern that each of its values has, and one of them.
macro_rules! texts {
    ($($name:ident: $what:literal, $pattern:literal, $example:literal $(, $format:expr)?;)*) => {$(
        #[doc = $what]
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let object = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($what))
                    .pattern(Some($pattern))
                    .examples([serde_json::json!($example)]);
                $(let object = object.format(Some($format));)?
                object.into()
            }
        }

        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*

    /// All of them, by their names.
    pub(crate) fn all() -> impl Iterator<Item = (String, RefOr<Schema>)> {
        [$(($name::name().into_owned(), $name::schema())),*].into_iter()
    }};
}

texts! {
    ApprovalId: "The id of a call that waits, or waited, for a yes: `apr_` and a ULID.",
        "^apr_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
        "apr_01KB0000000000000000000000";
    RunId: "The id of a run: `run_` and a ULID.",
        "^run_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
        "run_01KB0000000000000000000000";
    Chain: "Whose records: a run's id, or `gateway` for the gateway's own.",
        "^(gateway|run_[0-7][0-9A-HJKMNP-TV-Z]{25})$",
        "gateway";
    Launcher: "Who started a run, or did something: a human or a workflow.",
        "^(human|workflow):[^\\s\\p{Cc}]+$",
        "human:alice@acme.com";
    Time: "A moment in RFC 3339 form, UTC.",
        "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z$",
        "2026-03-01T12:00:00.000Z",
        SchemaFormat::KnownFormat(KnownFormat::DateTime);
    Duration: "A length of time in words: numbers with `ns`, `us`, `ms`, `s`, `m`, `h`, `days`, ….",
        "^[0-9]{1,9}[a-zA-Z]+( ?[0-9]{1,9}[a-zA-Z]+)*$",
        "1h 30m";
    Confinement: "How a run's process is kept from what is not for it.",
        "^(landlock|gateway-only|unconfined|elsewhere)$",
        "landlock";
    Ending: "Why a run ended.",
        "^(closed|expired|gateway-stopped|revoked)$",
        "closed";
}
