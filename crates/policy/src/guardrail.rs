//! The organisation's own guardrails: Cedar policies that forbid, whatever a task grants.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bailiwick_action::{Kind, Resource};
use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, StaticPolicy, Template, UnaryOp, Var};
use cedar_policy::{
    Effect, EntityUid, Policy, PolicyId, PolicySet, ValidationMode, ValidationWarning, pst,
};
use miette::Diagnostic;

use crate::TargetName;
use crate::limits::{MAX_NAME, MAX_SHOWN_TEXT};
use crate::model::{self, Model, Refused, Type};
use crate::problem::{Place, Problem, nearest};
use crate::request;

/// One `forbid` of `policies/*.cedar`.
#[derive(Clone, Debug)]
pub struct Guardrail {
    /// Its `@id`, or the file's name (and its number in the file, if there are several).
    pub name: String,
    /// Its `@reason`: why it forbids, for whoever is denied by it.
    pub reason: Option<String>,
    /// Its `@remedy`: what to do instead.
    pub remedy: Option<String>,
    /// Where it is.
    pub place: Place,
    /// As it is written, under the id `guardrail:NAME`.
    pub(crate) policy: Policy,
    /// The same for a call whose columns could not all be named: conditions on them count as met.
    pub(crate) unknown_columns: Policy,
}

impl Guardrail {
    /// The id of its policy.
    pub(crate) fn id(&self) -> String {
        self.policy.id().to_string()
    }
}

/// Reads one file of guardrails.
pub(crate) fn read(
    model: &Model,
    file: &Path,
    stem: &str,
    text: &str,
) -> Result<Vec<Guardrail>, Vec<Problem>> {
    let reader = Reader {
        file: file.into(),
        text,
    };
    let policies = reader.parse()?;
    let mut problems = reader.validate(model, &policies);
    let mut guardrails: Vec<Guardrail> = Vec::new();
    let numbered = policies.num_of_policies() > 1;
    for (number, (policy, place)) in (1..).zip(reader.in_order(&policies)) {
        match guardrail(&policy, stem, numbered.then_some(number), place.clone()) {
            Ok(guardrail) => guardrails.push(guardrail),
            Err(message) => problems.push(problem(place, message)),
        }
    }
    if problems.is_empty() {
        Ok(guardrails)
    } else {
        Err(problems)
    }
}

/// Two guardrails of one name, and names of targets or tasks that do not exist: such a guardrail
/// would never forbid anything.
pub(crate) fn check(
    guardrails: &[Guardrail],
    targets: &[TargetName],
    tasks: &[&str],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for guardrail in guardrails {
        if let Some(first) = seen.insert(&guardrail.name, &guardrail.place) {
            let message = format!(
                "a guardrail is called `{}` here and at {first}; give one another @id",
                guardrail.name
            );
            problems.push(problem(guardrail.place.clone(), message));
        }
        for literal in guardrail.policy.entity_literals() {
            if let Some((message, near)) = unknown(&literal, targets, tasks) {
                problems.push(Problem {
                    nearest: near.map(str::to_owned),
                    ..problem(guardrail.place.clone(), message)
                });
            }
        }
    }
    problems
}

fn unknown<'a>(
    literal: &EntityUid,
    targets: &'a [TargetName],
    tasks: &[&'a str],
) -> Option<(String, Option<&'a str>)> {
    let id = literal.id().unescaped();
    let ty = literal.type_name().basename();
    if ty == Type::Task.as_str() && !tasks.contains(&id) {
        let near = nearest(id, tasks.iter().copied());
        return Some((format!("no task is called `{id}`"), near));
    }
    let (form, kind) = on_target(ty)?;
    let parts: Vec<String> = id
        .split('/')
        .map(|part| part.replace("%2F", "/").replace("%25", "%"))
        .collect();
    let name = parts.first()?;
    let Some(target) = targets.iter().find(|target| target.name == *name) else {
        let message = format!("{ty}::\"{id}\" is on target `{name}`, and there is no such target");
        let mut names = targets.iter().map(|target| target.name.as_str());
        return Some((message, nearest(name, &mut names)));
    };
    let never = |why: String| Some((format!("{ty}::\"{id}\" can never match; {why}"), None));
    if parts.len() != form.split('/').count() {
        return never(format!("its form is {form}"));
    }
    if kind.is_some_and(|kind| kind != target.kind && KINDS.contains(&&*target.kind)) {
        return never(format!("`{name}` is of kind {}", target.kind));
    }
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    if model::id(&names) != id {
        return never("a \"/\" or \"%\" within a name is written %2F or %25".to_owned());
    }
    let request = Resource::named(Kind::Request, parts.get(1).cloned().unwrap_or_default());
    if ty == Type::Request.as_str() && !request::is_one(&request) {
        return never(
            "no request is spelled so: it is a method in upper case, a space, and a path in which all but \
             letters, digits and `-._~` is percent-encoded in upper case"
                .to_owned(),
        );
    }
    None
}

/// The kinds of target of which it is known what they have.
const KINDS: [&str; 3] = ["postgres", "http", "mcp"];

/// The form of the ids of what is on a target, and the kind of target that has it; nothing for what is on
/// none.
fn on_target(ty: &str) -> Option<(&'static str, Option<&'static str>)> {
    let (_, form, kind) = [
        (Type::Target, "TARGET", None),
        (Type::Schema, "TARGET/NAME", Some("postgres")),
        (Type::Role, "TARGET/NAME", Some("postgres")),
        (Type::Setting, "TARGET/NAME", Some("postgres")),
        (Type::Table, "TARGET/SCHEMA/NAME", Some("postgres")),
        (Type::Function, "TARGET/SCHEMA/NAME", Some("postgres")),
        (Type::Object, "TARGET/SCHEMA/NAME", Some("postgres")),
        (Type::Request, "TARGET/REQUEST", Some("http")),
        (Type::Tool, "TARGET/NAME", Some("mcp")),
        (Type::Uri, "TARGET/URI", Some("mcp")),
        (Type::Prompt, "TARGET/NAME", Some("mcp")),
        (Type::Feature, "TARGET/NAME", Some("mcp")),
    ]
    .into_iter()
    .find(|(on, _, _)| on.as_str() == ty)?;
    Some((form, kind))
}

fn guardrail(
    policy: &Policy,
    stem: &str,
    number: Option<u32>,
    place: Place,
) -> Result<Guardrail, String> {
    let text = |key| {
        let text = policy.annotation(key).map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let name = text("id").unwrap_or_else(|| match number {
        Some(number) => format!("{stem}-{number}"),
        None => stem.to_owned(),
    });
    if policy.effect() == Effect::Permit {
        return Err(
            "a permit has no place here: it would widen every task; a guardrail is a `forbid`, and what a run may do stands in its task file"
                .to_owned(),
        );
    }
    if name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!(
            "its @id is longer than {MAX_NAME} bytes or holds a control character"
        ));
    }
    let reason = text("reason");
    let remedy = text("remedy");
    for (key, text) in [("reason", &reason), ("remedy", &remedy)] {
        let text = text.as_deref().unwrap_or_default();
        if text.chars().count() > MAX_SHOWN_TEXT || text.chars().any(char::is_control) {
            return Err(format!(
                "its @{key} is longer than {MAX_SHOWN_TEXT} characters or holds a control character"
            ));
        }
    }
    let policy = policy.new_id(PolicyId::new(format!("guardrail:{name}")));
    let unknown_columns = with_columns_unknown(&policy).map_err(|error| error.to_string())?;
    Ok(Guardrail {
        name,
        reason,
        remedy,
        place,
        policy,
        unknown_columns,
    })
}

fn problem(place: Place, message: String) -> Problem {
    Problem {
        place,
        key: String::new(),
        message,
        nearest: None,
    }
}

struct Reader<'a> {
    file: Arc<Path>,
    text: &'a str,
}

impl Reader<'_> {
    fn parse(&self) -> Result<PolicySet, Vec<Problem>> {
        let policies: PolicySet =
            self.text
                .parse()
                .map_err(|errors: cedar_policy::ParseErrors| {
                    errors
                        .iter()
                        .map(|error| self.problem(error, "not valid Cedar: "))
                        .collect::<Vec<_>>()
                })?;
        if policies.templates().next().is_some() {
            return Err(vec![problem(
                Place::whole(&self.file),
                "a guardrail may have no slots such as ?principal".to_owned(),
            )]);
        }
        Ok(policies)
    }

    fn validate(&self, model: &Model, policies: &PolicySet) -> Vec<Problem> {
        let result = model.validator.validate(policies, ValidationMode::Strict);
        let errors = result
            .validation_errors()
            .map(|error| self.problem(error, "does not fit the schema: "));
        let never = result.validation_warnings().filter(|warning| {
            matches!(
                warning,
                ValidationWarning::ImpossiblePolicy(_)
                    | ValidationWarning::InvalidActionApplication(_)
            )
        });
        errors
            .chain(never.map(|warning| self.problem(warning, "it would never forbid anything: ")))
            .collect()
    }

    fn problem<D: Diagnostic>(&self, error: &D, prefix: &str) -> Problem {
        let place = match error.labels().and_then(|mut labels| labels.next()) {
            Some(label) => Place::of_byte(&self.file, self.text, label.offset()),
            None => Place::whole(&self.file),
        };
        let mut message = format!("{prefix}{error}");
        if let Some(help) = error.help() {
            message.push_str(&format!(" ({help})"));
        }
        problem(place, message.replace('\n', " "))
    }

    /// The policies in the order of the file, each with its place.
    fn in_order(&self, policies: &PolicySet) -> Vec<(Policy, Place)> {
        let mut ordered: Vec<&Policy> = policies.policies().collect();
        // Cedar numbers what it parses: policy0, policy1, …
        ordered.sort_by_key(|policy| {
            let id = policy.id().to_string();
            (id.len(), id)
        });
        let mut from = 0;
        ordered
            .into_iter()
            .map(|policy| {
                // Cedar keeps the text of a policy but not where it stood.
                let source = policy.to_cedar().unwrap_or_default();
                let rest = self.text.get(from..).unwrap_or_default();
                let place = match rest.find(&source) {
                    Some(offset) if !source.is_empty() => {
                        let at = from + offset;
                        from = at + source.len();
                        Place::of_byte(&self.file, self.text, at)
                    }
                    _ => Place::whole(&self.file),
                };
                (policy.clone(), place)
            })
            .collect()
    }
}

/// The guardrail as it has to be read when a call's columns could not all be named. Each condition
/// that looks at the context is taken to hold if that makes the policy forbid, so it forbids at
/// least what it would if the columns were known.
fn with_columns_unknown(policy: &Policy) -> Result<Policy, Refused> {
    let pst::Policy::Static(policy) = policy.to_pst().map_err(Refused::because)? else {
        return Err(Refused::because("a guardrail is linked to a template"));
    };
    let body: &Template = policy.body();
    let clauses: Vec<Clause> = body
        .clauses()
        .iter()
        .map(|clause| match clause {
            Clause::When(condition) => Clause::When(assume(condition, true)),
            Clause::Unless(condition) => Clause::Unless(assume(condition, false)),
        })
        .collect();
    let body = body
        .clone()
        .try_with_clauses(clauses)
        .map_err(Refused::because)?;
    let policy = StaticPolicy::try_from(body).map_err(Refused::because)?;
    Policy::from_pst(pst::Policy::Static(policy)).map_err(Refused::because)
}

/// The expression with every condition on the context replaced so that the whole is `value` as often
/// as it can be.
fn assume(expression: &Arc<Expr>, value: bool) -> Arc<Expr> {
    if !looks_at_context(expression) {
        return Arc::clone(expression);
    }
    Arc::new(match expression.as_ref() {
        Expr::BinaryOp {
            op: op @ (BinaryOp::And | BinaryOp::Or),
            left,
            right,
        } => Expr::BinaryOp {
            op: *op,
            left: assume(left, value),
            right: assume(right, value),
        },
        Expr::UnaryOp {
            op: UnaryOp::Not,
            expr,
        } => Expr::UnaryOp {
            op: UnaryOp::Not,
            expr: assume(expr, !value),
        },
        _ => Expr::Literal(Literal::Bool(value)),
    })
}

fn looks_at_context(expression: &Expr) -> bool {
    expression.reduce(
        &|part| matches!(part, Expr::Var(Var::Context)).then_some(true),
        &|one, other| one || other,
        false,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let model = Model::new().unwrap();
        match read(&model, Path::new("policies/own.cedar"), "own", text) {
            Ok(guardrails) => check(&guardrails, &[], &[]),
            Err(problems) => problems,
        }
        .iter()
        .map(ToString::to_string)
        .collect()
    }

    #[test]
    fn conditions_on_unknown_columns_are_taken_as_met() {
        let model = Model::new().unwrap();
        let text = r#"forbid (principal, action in Bailiwick::Action::"call", resource is Bailiwick::Table)
            when { resource.name == "t" && !(["a"].containsAll(context.columns)) }
            unless { context.columns.contains("tenant") || resource.schema == "audit" };"#;
        let [guardrail] = read(&model, Path::new("own.cedar"), "own", text)
            .unwrap()
            .try_into()
            .unwrap();
        let read = guardrail.unknown_columns.to_cedar().unwrap();
        assert!(
            read.contains(r#"(resource["name"]) == "t""#) || read.contains("resource.name"),
            "{read}"
        );
        assert!(
            read.contains("!false") && !read.contains("context"),
            "{read}"
        );
        assert_eq!(guardrail.unknown_columns.id(), guardrail.policy.id());
    }

    #[test]
    fn what_is_no_working_guardrail_is_refused() {
        let permit = problems("// a comment\n\npermit (principal, action, resource);");
        assert!(
            permit[0].starts_with("policies/own.cedar:3:1: a permit has no place here"),
            "{permit:?}"
        );
        for (text, start) in [
            (
                "forbid (principal, action resource);",
                "policies/own.cedar:1:27: not valid Cedar",
            ),
            (
                "forbid (principal, action, resource)\nwhen { resource.color == \"x\" };",
                "policies/own.cedar:2:8: does not fit the schema",
            ),
            (
                "forbid (principal, action == Bailiwick::Action::\"selct\", resource);",
                "policies/own.cedar",
            ),
            (
                "forbid (principal, action, resource == Bailiwick::Table::\"tikets/public/t\");",
                "policies/own.cedar:1:1: Table::\"tikets/public/t\" is on target `tikets`",
            ),
            (
                "@id(\"a\") forbid (principal, action, resource) when { resource.name == \"x\" };\n\
                 @id(\"a\") forbid (principal, action, resource) when { resource.name == \"y\" };",
                "policies/own.cedar:2:1: a guardrail is called `a` here and at policies/own.cedar:1:1",
            ),
            (
                "forbid (principal == ?principal, action, resource);",
                "policies/own.cedar: a guardrail may have no slots",
            ),
            (
                "forbid (principal is Bailiwick::Launcher, action == Bailiwick::Action::\"select\", resource);",
                "policies/own.cedar:1:1: it would never forbid anything",
            ),
        ] {
            let problems = problems(text);
            assert!(
                problems.first().is_some_and(|p| p.starts_with(start)),
                "{text}\n{problems:#?}"
            );
        }
    }
}
