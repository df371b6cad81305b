//! Who may answer a question.

use std::collections::BTreeSet;

use bailiwick_action::Class;
use bailiwick_policy::Question;
use bailiwick_run::{Confinement, Launcher};

use crate::people::{Person, Role, Via};

/// Why somebody may not answer a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTheirs {
    /// It is a program.
    #[error(
        "{0} is a program, and approvals are for people: a person decides in the console, or with `bailiwick` on the \
         gateway's own machine"
    )]
    Program(Launcher),
    /// They have no such role.
    #[error(
        "{0} is no approver: whoever keeps the gateway can name them, or a group of theirs, under `approver` in \
         [roles] of bailiwick.toml"
    )]
    Role(Launcher),
    /// Somebody else is asked.
    #[error(
        "this is for {} to decide, and {who} is not among them: one of them decides, or whoever keeps the gateway puts \
         {who} into that group under [groups] in bailiwick.toml", asked.join(" and ")
    )]
    NotAsked {
        /// Who they are.
        who: Launcher,
        /// Who is asked.
        asked: Vec<String>,
    },
    /// They have launched the run, and it destroys or administers.
    #[error(
        "{} launched this run, and a call of the class {class} is approved by somebody else: another of {} decides. \
         Where there is nobody else on this machine, name a second person in that group under [groups] in \
         bailiwick.toml, who signs in to the console or uses a local user of their own", both(who, launcher), asked.join(" and ")
    )]
    OwnRun {
        /// Who they are.
        who: Launcher,
        /// The name of theirs that launched it.
        launcher: Launcher,
        /// The heaviest class of the call.
        class: Class,
        /// Who is asked.
        asked: Vec<String>,
    },
    /// They have launched the run, and nothing keeps its process from acting as them.
    #[error(
        "{} launched this run as a local user, and its process is not confined by the gateway: what says yes here \
         may be the agent itself. Somebody else approves, or the run is started with `bailiwick run`, without \
         `--unconfined`",
        both(who, launcher)
    )]
    CouldBeTheAgent {
        /// Who they are.
        who: Launcher,
        /// The name of theirs that launched it.
        launcher: Launcher,
    },
}

/// Somebody who is the launcher, by whichever name.
fn both(who: &Launcher, launcher: &Launcher) -> String {
    match who == launcher {
        true => who.to_string(),
        false => format!("{who}, who is also {launcher} ([people] in bailiwick.toml),"),
    }
}

/// For whom of those who are asked somebody speaks; at least one. For a no that is all it takes.
pub(super) fn speaks_for<'a>(
    who: &Person,
    question: &'a Question,
) -> Result<BTreeSet<&'a str>, NotTheirs> {
    let name = || who.name.clone();
    if who.via == Via::Token || !who.name.as_str().starts_with("human:") {
        return Err(NotTheirs::Program(name()));
    }
    if !who.may(Role::Approver) {
        return Err(NotTheirs::Role(name()));
    }
    let is_meant = |approver: &&str| match approver.strip_prefix("group:") {
        Some(group) => who.groups.contains(group),
        None => who.name.as_str() == *approver,
    };
    let asked = question.approvers.iter().map(String::as_str);
    let speaks_for: BTreeSet<_> = asked.filter(is_meant).collect();
    if speaks_for.is_empty() {
        return Err(NotTheirs::NotAsked {
            who: name(),
            asked: question.approvers.iter().cloned().collect(),
        });
    }
    Ok(speaks_for)
}

/// The same for a yes.
pub(super) fn may_say_yes<'a>(
    who: &Person,
    question: &'a Question,
) -> Result<BTreeSet<&'a str>, NotTheirs> {
    let speaks_for = speaks_for(who, question)?;
    let run = &question.run;
    if !who.is(&run.launcher) {
        return Ok(speaks_for);
    }
    let class = heaviest(question);
    if matches!(class, Class::Destroy | Class::Admin) {
        return Err(NotTheirs::OwnRun {
            who: who.name.clone(),
            launcher: run.launcher.clone(),
            class,
            asked: question.approvers.iter().cloned().collect(),
        });
    }
    let confined = match run.confinement {
        Confinement::Landlock | Confinement::GatewayOnly => true,
        Confinement::Unconfined | Confinement::Elsewhere => false,
    };
    // Whoever the socket proves is a user, not a person: a process of theirs can read the token, too.
    if who.via == Via::Local && !confined {
        return Err(NotTheirs::CouldBeTheAgent {
            who: who.name.clone(),
            launcher: run.launcher.clone(),
        });
    }
    Ok(speaks_for)
}

/// The heaviest class of a call, whatever it was called by.
pub(super) fn heaviest(question: &Question) -> Class {
    let classes = question.actions.iter().map(|action| action.class);
    classes.max().unwrap_or(question.class).max(question.class)
}

#[cfg(test)]
mod tests {
    use bailiwick_action::{Action, Resource, Verb};

    use super::*;
    use crate::testing::{person, question, run_of};

    const LAUNCHER: &str = "human:launcher@localhost";

    fn of_class(class: Class, confinement: Confinement) -> Question {
        let mut run = run_of(LAUNCHER);
        run.confinement = confinement;
        let mut question = question(&run);
        question.class = class;
        question.actions = vec![Action::of_class(
            class,
            Verb::Execute,
            Resource::function("public", "f"),
        )];
        question
    }

    /// What somebody is told: the name of the variant, or nothing.
    fn told(who: &Person, question: &Question) -> String {
        match may_say_yes(who, question) {
            Ok(_) => "yes".into(),
            Err(error) => format!("{error:?}")
                .split([' ', '('])
                .next()
                .unwrap()
                .to_owned(),
        }
    }

    #[test]
    fn who_may_say_yes_to_what() {
        let other = || person("human:other@acme.com");
        let launcher = || person(LAUNCHER);
        let role = |mut who: Person, roles: &[Role]| {
            who.roles = roles.iter().copied().collect();
            who
        };
        let via = |mut who: Person, via| {
            who.via = via;
            who
        };
        let also = |mut who: Person| {
            who.also = [LAUNCHER.parse().unwrap()].into();
            who
        };
        let outside = |mut who: Person| {
            who.groups = ["cooks".to_owned()].into();
            who
        };
        use Class::{Admin, Destroy, Read, Write};
        use Confinement::{Elsewhere, GatewayOnly, Landlock, Unconfined};
        let table = [
            (other(), Destroy, Landlock, "yes"),
            (other(), Admin, Unconfined, "yes"),
            (role(other(), &[Role::Admin]), Destroy, Landlock, "yes"),
            (role(other(), &[Role::Operator]), Write, Landlock, "Role"),
            (
                role(other(), &[Role::Viewer, Role::Auditor, Role::Operator]),
                Write,
                Landlock,
                "Role",
            ),
            (role(other(), &[]), Read, Landlock, "Role"),
            (outside(other()), Write, Landlock, "NotAsked"),
            (
                outside(role(other(), &[Role::Admin])),
                Write,
                Landlock,
                "NotAsked",
            ),
            (via(other(), Via::Token), Write, Landlock, "Program"),
            (
                via(role(other(), &[Role::Admin]), Via::Token),
                Read,
                Landlock,
                "Program",
            ),
            (launcher(), Write, Landlock, "yes"),
            (launcher(), Read, GatewayOnly, "yes"),
            (launcher(), Destroy, Landlock, "OwnRun"),
            (launcher(), Admin, GatewayOnly, "OwnRun"),
            (via(launcher(), Via::Oidc), Destroy, Landlock, "OwnRun"),
            (
                role(launcher(), &[Role::Admin]),
                Destroy,
                Landlock,
                "OwnRun",
            ),
            (launcher(), Write, Unconfined, "CouldBeTheAgent"),
            (launcher(), Read, Elsewhere, "CouldBeTheAgent"),
            (via(launcher(), Via::Oidc), Write, Elsewhere, "yes"),
            (other(), Write, Elsewhere, "yes"),
            // Another name makes nobody somebody else.
            (also(other()), Destroy, Landlock, "OwnRun"),
            (also(other()), Admin, Elsewhere, "OwnRun"),
            (via(also(other()), Via::Oidc), Destroy, Landlock, "OwnRun"),
            (also(other()), Write, Unconfined, "CouldBeTheAgent"),
            (also(other()), Write, Landlock, "yes"),
            (via(also(other()), Via::Oidc), Write, Unconfined, "yes"),
        ];
        for (who, class, confinement, expected) in table {
            let question = of_class(class, confinement);
            assert_eq!(
                told(&who, &question),
                expected,
                "{who:?} {class} {confinement:?}"
            );
        }
    }

    #[test]
    fn a_heavy_action_is_not_hidden_by_what_the_call_is_called() {
        let mut question = of_class(Class::Destroy, Confinement::Landlock);
        question.class = Class::Read;
        assert_eq!(told(&person(LAUNCHER), &question), "OwnRun");
    }

    #[test]
    fn a_name_is_meant_whole_and_a_group_is_no_name() {
        let mut question = of_class(Class::Write, Confinement::Landlock);
        question.approvers = ["human:other@acme.com".to_owned()].into();
        let who = person("human:other@acme.com");
        assert_eq!(told(&who, &question), "yes");
        assert_eq!(
            told(&person("human:other@acme.com.evil"), &question),
            "NotAsked"
        );
        // Somebody whose groups hold the text of a name is not that person.
        let mut sly = person("human:sly@acme.com");
        sly.groups = ["human:other@acme.com".to_owned()].into();
        assert_eq!(told(&sly, &question), "NotAsked");
        // And a workflow is nobody, whatever it is called and however it came.
        assert_eq!(
            told(&person("workflow:group:data-owners"), &question),
            "Program"
        );
    }

    #[test]
    fn whoever_is_asked_may_say_no_to_their_own_run() {
        let question = of_class(Class::Destroy, Confinement::Unconfined);
        assert!(speaks_for(&person(LAUNCHER), &question).is_ok());
    }

    #[test]
    fn refusals_say_what_to_do() {
        let question = of_class(Class::Destroy, Confinement::Landlock);
        let error = may_say_yes(&person(LAUNCHER), &question).unwrap_err();
        let text = error.to_string();
        for part in ["group:data-owners", "[groups]", "somebody else"] {
            assert!(text.contains(part), "{text}");
        }
        let mut other = person("human:other@acme.com");
        other.also = [LAUNCHER.parse().unwrap()].into();
        let text = may_say_yes(&other, &question).unwrap_err().to_string();
        let says = "human:other@acme.com, who is also human:launcher@localhost ([people]";
        assert!(text.starts_with(says), "{text}");
    }
}
