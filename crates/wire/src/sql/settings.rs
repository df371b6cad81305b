//! Settings that a session may change without changing what any statement means or may do.

/// Whether setting `name` to `value` is mere housekeeping.
pub fn harmless_setting(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let value = value.trim().trim_matches('\'').to_ascii_lowercase();
    match &*name {
        name if free(name) => true,
        // Below notice, a target tells of its own workings, with values in them.
        "client_min_messages" => matches!(&*value, "notice" | "warning" | "error"),
        // What is read as text must be the text that is decided on.
        "client_encoding" | "names" => {
            matches!(&*value, "utf8" | "utf-8" | "unicode")
        }
        "standard_conforming_strings" | "row_security" => truth(&value) == Some(true),
        "default_transaction_read_only" | "transaction_read_only" => truth(&value) == Some(true),
        "escape_string_warning" | "synchronize_seqscans" => truth(&value).is_some(),
        // By these a value is read, or read as text within a statement. A target reports no change of them, so
        // only what comes to the same as its own is left to agents: an approval is for what a call means.
        "bytea_output" => value == "hex",
        "extra_float_digits" => matches!(&*value, "1" | "2" | "3"),
        "lc_monetary" | "lc_numeric" | "lc_time" => matches!(&*value, "c" | "posix"),
        _ => false,
    }
}

/// Whether setting `name` is mere housekeeping whatever the value.
pub(super) fn free(name: &str) -> bool {
    matches!(
        &*name.to_ascii_lowercase(),
        "application_name"
            | "datestyle"
            | "geqo"
            | "idle_in_transaction_session_timeout"
            | "idle_session_timeout"
            | "intervalstyle"
            | "jit"
            | "lock_timeout"
            | "plan_cache_mode"
            | "statement_timeout"
            | "time zone"
            | "timezone"
            | "transaction_deferrable"
            | "transaction_isolation"
            | "transaction_timeout"
            | "default_transaction_deferrable"
            | "default_transaction_isolation"
            | "xmlbinary"
            | "xmloption"
    )
}

/// PostgreSQL's spellings of a boolean setting that clients use.
fn truth(value: &str) -> Option<bool> {
    match value {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}
