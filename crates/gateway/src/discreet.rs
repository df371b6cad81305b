//! What an agent or a target put into a name, kept out of the record where it is personal: the path of a
//! request is a name, and may hold an address. The record is for ever; what was sent, exactly, is in the
//! payload, which can be erased.

use bailiwick_action::{Action, Decision, Denial, Kind};
use bailiwick_mask::Detectors;
use percent_encoding::percent_decode_str;

/// A call's actions and its decision, as they go into the record.
pub(crate) fn put(
    detectors: &Detectors,
    actions: &[Action],
    decision: Decision,
) -> (Vec<Action>, Decision) {
    let mut actions = actions.to_vec();
    let mut changed = Vec::new();
    for action in &mut actions {
        let resource = &mut action.resource;
        // The names of other kinds are a catalogue's, or have no room for anything of an agent's making.
        if !matches!(
            resource.kind,
            Kind::Request | Kind::Uri | Kind::Tool | Kind::Prompt
        ) {
            continue;
        }
        if let Some(discreet) = name(detectors, &resource.name) {
            let plain = std::mem::replace(&mut resource.name, discreet.clone());
            changed.push((plain, discreet));
        }
    }
    if changed.is_empty() {
        return (actions, decision);
    }
    let text = |text: String| {
        let named = changed.iter().fold(text, |text, (plain, discreet)| {
            text.replace(plain, discreet)
        });
        said(detectors, named)
    };
    let decision = match decision {
        Decision::Deny(denial) => Decision::Deny(Denial {
            policies: denial.policies,
            reason: text(denial.reason),
            remedy: text(denial.remedy),
        }),
        allow @ Decision::Allow { .. } => allow,
    };
    (actions, decision)
}

/// A text for the record, with placeholders for what is personal in it.
pub(crate) fn said(detectors: &Detectors, text: String) -> String {
    match detectors.rewrite(text.as_bytes()) {
        Some(rewritten) => String::from_utf8_lossy(&rewritten.bytes).into_owned(),
        None => text,
    }
}

/// The name with placeholders, or nothing where there is nothing to hide. Each segment is looked at as it
/// is and as it is meant, for an `@` in a path is written `%40`.
fn name(detectors: &Detectors, name: &str) -> Option<String> {
    let mut changed = false;
    let mut hide = |segment: &str| {
        let meant = percent_decode_str(segment).decode_utf8_lossy();
        match detectors.rewrite(meant.as_bytes()) {
            Some(rewritten) => {
                changed = true;
                String::from_utf8_lossy(&rewritten.bytes).into_owned()
            }
            None => segment.to_owned(),
        }
    };
    let segments: Vec<_> = name.split('/').map(&mut hide).collect();
    let named = segments.join("/");
    match detectors.rewrite(named.as_bytes()) {
        Some(rewritten) => Some(String::from_utf8_lossy(&rewritten.bytes).into_owned()),
        None => changed.then_some(named),
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_action::{Class, Resource, Verb};

    use super::*;

    #[test]
    fn an_address_in_a_path_is_not_in_the_record() {
        let detectors = Detectors::new();
        let action = |path: &str| {
            Action::of_class(Class::Read, Verb::Request, Resource::request("GET", path))
        };
        let denied = |path: &str| {
            Decision::Deny(Denial {
                policies: Vec::new(),
                reason: format!("GET {path} is outside the scope"),
                remedy: format!("ask for requests = [\"GET {path}\"]"),
            })
        };
        for path in [
            "/by-email/bob@example.com",
            "/by-email/bob%40example.com/orders",
            "/cards/4111111111111111",
        ] {
            let (actions, decision) = put(&detectors, &[action(path)], denied(path));
            let all = format!("{actions:?} {decision:?}");
            assert!(all.contains("[masked:"), "{all}");
            assert!(!all.contains("bob") && !all.contains("4111"), "{all}");
        }
        let plain = ("/customers/42", denied("/customers/42"));
        let kept = put(&detectors, &[action(plain.0)], plain.1.clone());
        assert_eq!(kept, (vec![action(plain.0)], plain.1));
    }
}
