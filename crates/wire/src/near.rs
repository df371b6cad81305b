/// Upper, then lower: `ſ` is an `s` and the Kelvin sign a `k` to some of them.
fn folded(name: &str) -> String {
    let upper = name.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

/// Whether two names are different and yet the same to a target that ignores case. Many do: Go's and
/// ASP.NET's readers of JSON, ASP.NET's of queries.
pub(crate) fn differ_in_case_only(one: &str, other: &str) -> bool {
    one != other && folded(one) == folded(other)
}

/// Whether a parameter of a query might be taken for another one by some target, though its name is a
/// different one: for one that ignores case, or for what is put together of several (`owner[]`, `owner[id]`,
/// `owner.id`: PHP, Rails, Node's `qs`, ASP.NET), or for one whose name PHP spells in its own way (`owner.id`
/// and ` owner id` are `owner_id`).
pub(crate) fn may_be_taken_for(parameter: &str, other: &str) -> bool {
    if parameter == other {
        return false;
    }
    let parts = |name: &str| -> Vec<String> {
        let parts = name.trim().split(['[', ']', '.']);
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(|part| folded(&part.replace(' ', "_"))).collect()
    };
    let (one, other) = (parts(parameter), parts(other));
    let shorter = one.len().min(other.len());
    let begins_alike = one.iter().zip(&other).all(|(one, other)| one == other);
    (shorter > 0 && begins_alike) || one.join("_") == other.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_more_than_ascii() {
        for (one, other) in [
            ("visibility", "Visibility"),
            ("visibility", "vi\u{17f}ibility"),
            ("kind", "\u{212a}ind"),
            ("größe", "GRÖSSE"),
        ] {
            assert!(differ_in_case_only(one, other), "{one} {other}");
        }
        for (one, other) in [("a", "a"), ("a", "b"), ("a", "a "), ("", "a")] {
            assert!(!differ_in_case_only(one, other), "{one} {other}");
        }
    }

    #[test]
    fn parameters_are_put_together_by_some() {
        for (parameter, other) in [
            ("owner[]", "owner"),
            ("owner[0]", "owner"),
            ("Owner[id]", "owner"),
            ("owner.id", "owner"),
            ("owner.", "owner"),
            (" owner", "owner"),
            ("owner.id", "owner_id"),
            ("owner id", "owner_id"),
            ("owner[id", "owner_id"),
            ("filter[owner][]", "filter[owner]"),
            ("filter", "filter[owner]"),
            ("filter.owner", "filter[owner]"),
        ] {
            assert!(may_be_taken_for(parameter, other), "{parameter} {other}");
        }
        for (parameter, other) in [
            ("owner", "owner"),
            ("owners", "owner"),
            ("owner_id", "owner"),
            ("filter[state]", "filter[owner]"),
            ("[]", "owner"),
            ("", "owner"),
        ] {
            assert!(!may_be_taken_for(parameter, other), "{parameter} {other}");
        }
    }
}
