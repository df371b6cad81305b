//! A task becomes Cedar policies, built as syntax trees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_action::{Action, Class, Kind, Verb};
use cedar_policy::pst::{
    ActionConstraint, BinaryOp, Clause, Effect, EntityOrSlot, Expr, Literal, PatternElem,
    PrincipalConstraint, ResourceConstraint, StaticPolicy, Template, UnaryOp, Var,
};
use cedar_policy::{Policy, PolicySet, ValidationMode, pst};

use crate::covered::{Covered, is_matched};
use crate::guardrail::Guardrail;
use crate::limits::MAX_POLICIES;
use crate::model::{Model, OPEN, Refused, Type, action_name, id};
use crate::name::Pattern;
use crate::task::{Grant, LOCK, Task};

/// A task's policies, together with the guardrails, cut into what each kind of request needs.
pub(crate) struct Compiled {
    /// For opening a run.
    pub(crate) open: PolicySet,
    /// For a call, by target.
    pub(crate) targets: BTreeMap<String, Slice>,
    /// Which of the task's own policies are masks: they are there to forbid.
    pub(crate) masks: BTreeSet<String>,
    /// Which of them hold, and who has to approve: they forbid until then, and permit from then on.
    pub(crate) holds: BTreeMap<String, String>,
    /// Which of them let a result be of a type that cannot be masked.
    pub(crate) binary: BTreeSet<String>,
}

/// Everything that can decide a call to one target.
pub(crate) struct Slice {
    /// While nobody has approved anything: what a grant with `approve` might cover is forbidden.
    pub(crate) before: Policies,
    /// Once everybody has approved: such a grant permits what it covers. Nothing where there is none.
    pub(crate) after: Option<Policies>,
}

/// One set of policies, twice.
pub(crate) struct Policies {
    known_columns: PolicySet,
    /// For calls with columns that could not be named: here guardrails take every condition on the
    /// columns as met.
    unknown_columns: PolicySet,
}

impl Policies {
    fn new(
        model: &Model,
        templates: Vec<Template>,
        guardrails: &[Guardrail],
    ) -> Result<Self, Refused> {
        let mut known_columns = PolicySet::new();
        for template in templates {
            add(&mut known_columns, template)?;
        }
        check(model, &known_columns)?;
        let mut unknown_columns = known_columns.clone();
        add_all(&mut known_columns, guardrails.iter().map(|g| &g.policy))?;
        add_all(
            &mut unknown_columns,
            guardrails.iter().map(|g| &g.unknown_columns),
        )?;
        Ok(Self {
            known_columns,
            unknown_columns,
        })
    }

    /// Those for an action.
    pub(crate) fn of(&self, action: &Action) -> &PolicySet {
        if action.columns.contains("*") || action.exposed.contains("*") {
            &self.unknown_columns
        } else {
            &self.known_columns
        }
    }
}

/// Which side of an approval policies are made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl Compiled {
    pub(crate) fn new(
        model: &Model,
        task: &Task,
        guardrails: &[Guardrail],
    ) -> Result<Self, Refused> {
        let compiler = Compiler { model, task };
        let mut open = PolicySet::new();
        for policy in compiler.open()? {
            add(&mut open, policy)?;
        }
        check(model, &open)?;
        add_all(&mut open, guardrails.iter().map(|g| &g.policy))?;

        let mut compiled = Self {
            open,
            targets: BTreeMap::new(),
            masks: BTreeSet::new(),
            holds: BTreeMap::new(),
            binary: BTreeSet::new(),
        };
        let mut count = 0;
        for target in task.targets() {
            let mut side = |side: Side| {
                let templates = compiler.target(target, side, &mut compiled)?;
                count += templates.len();
                if count > MAX_POLICIES {
                    return Err(Refused::because(format_args!(
                        "the task names too much: it makes more than {MAX_POLICIES} policies"
                    )));
                }
                Policies::new(model, templates, guardrails)
            };
            let holds = task.on(target).any(|grant| grant.approve.is_some());
            let slice = Slice {
                before: side(Side::Before)?,
                after: holds.then(|| side(Side::After)).transpose()?,
            };
            compiled.targets.insert(target.to_owned(), slice);
        }
        Ok(compiled)
    }
}

struct Compiler<'a> {
    model: &'a Model,
    task: &'a Task,
}

impl Compiler<'_> {
    /// `permit (principal, action == open, resource == this task) when { principal.name like … }`.
    fn open(&self) -> Result<Vec<Template>, Refused> {
        let resource = self.model.literal(Type::Task, &self.task.name);
        let launchers = self.task.launchers.iter().zip(1..);
        launchers
            .map(|(pattern, number)| {
                Template::new(
                    self.id(&format!("launchers-{number}")),
                    Effect::Permit,
                    PrincipalConstraint::Is(self.model.literal(Type::Launcher, "").ty),
                    ActionConstraint::Eq(self.model.literal(Type::Action, OPEN)),
                    ResourceConstraint::Eq(EntityOrSlot::Entity(resource.clone())),
                )
                .try_with_clauses([Clause::When(Arc::new(Expr::Like {
                    expr: attribute(Var::Principal, "name"),
                    pattern: pattern
                        .chars()
                        .map(|c| match c {
                            '*' => PatternElem::Wildcard,
                            c => PatternElem::Char(c),
                        })
                        .collect(),
                }))])
                .map_err(Refused::because)
            })
            .collect()
    }

    fn target(
        &self,
        target: &str,
        side: Side,
        compiled: &mut Compiled,
    ) -> Result<Vec<Template>, Refused> {
        let mut policies = vec![self.session(target)];
        for grant in self.task.on(target) {
            for policy in self.grant(grant, side)? {
                if grant.binary {
                    compiled.binary.insert(policy.id.to_string());
                }
                if let Some(who) = &grant.approve {
                    compiled.holds.insert(policy.id.to_string(), who.clone());
                }
                policies.push(policy);
            }
        }
        for policy in self.masks(target)? {
            compiled.masks.insert(policy.id.to_string());
            policies.push(policy);
        }
        Ok(policies)
    }

    /// Housekeeping of the connection comes with any grant on the target.
    fn session(&self, target: &str) -> Template {
        Template::new(
            self.id(&format!("session/{target}")),
            Effect::Permit,
            self.principal(),
            ActionConstraint::Eq(self.model.literal(Type::Action, Verb::Session.as_str())),
            ResourceConstraint::Eq(EntityOrSlot::Entity(
                self.model.literal(Type::Target, &id(&[target])),
            )),
        )
    }

    /// A permit for each thing the grant names, and a second one for the verbs that its column list
    /// does not limit. With `approve` they are forbids first, so that no other grant lets through what this
    /// one holds. They forbid more than they permit later: whatever might be what is to be approved.
    fn grant(&self, grant: &Grant, side: Side) -> Result<Vec<Template>, Refused> {
        let effect = match (&grant.approve, side) {
            (Some(_), Side::Before) => Effect::Forbid,
            (None, _) | (Some(_), Side::After) => Effect::Permit,
        };
        let mut policies = Vec::new();
        for item in &grant.items {
            let covered = &item.covered;
            let name = grant.entry(item);
            if is_matched(covered.kind()) {
                policies.push(self.matched(grant, covered, &name, effect)?);
                continue;
            }
            let (limited, free): (Vec<Verb>, Vec<Verb>) = grant
                .verbs_on(covered.kind())
                .partition(|verb| grant.limited(*verb).is_some());
            if !free.is_empty() {
                let suffix = if limited.is_empty() { "" } else { LOCK };
                policies.push(Template::new(
                    self.id(&format!("{name}{suffix}")),
                    effect,
                    self.principal(),
                    self.actions(grant.class, &free)?,
                    self.covered(&grant.target, covered),
                ));
            }
            if let (false, Some(columns)) = (limited.is_empty(), &grant.columns) {
                let condition = match effect {
                    Effect::Permit => covers_all(columns),
                    Effect::Forbid => touches_any(Set::Columns, columns),
                };
                let policy = Template::new(
                    self.id(&name),
                    effect,
                    self.principal(),
                    self.actions(grant.class, &limited)?,
                    self.covered(&grant.target, covered),
                );
                let policy = policy.try_with_clauses([Clause::When(condition)]);
                policies.push(policy.map_err(Refused::because)?);
            }
        }
        Ok(policies)
    }

    /// For an entry that has been matched before Cedar is asked: it holds for a call that is said to meet it.
    fn matched(
        &self,
        grant: &Grant,
        covered: &Covered,
        name: &str,
        effect: Effect,
    ) -> Result<Template, Refused> {
        let actions = match effect {
            Effect::Permit => {
                let verbs: Vec<Verb> = grant.verbs_on(covered.kind()).collect();
                self.actions(grant.class, &verbs)?
            }
            // Another grant may make more of it than this one does; it is held all the same.
            Effect::Forbid => ActionConstraint::In(vec![self.model.literal(Type::Action, "call")]),
        };
        Template::new(
            self.id(name),
            effect,
            self.principal(),
            actions,
            self.covered(&grant.target, covered),
        )
        .try_with_clauses([Clause::When(Arc::new(Expr::BinaryOp {
            op: BinaryOp::Contains,
            left: attribute(Var::Context, "grants"),
            right: Arc::new(Expr::Literal(Literal::String(name.into()))),
        }))])
        .map_err(Refused::because)
    }

    /// A forbid for each table with masked columns: whatever would show one other than as a plain
    /// output column, which masking covers, or by being looked up, where that is allowed.
    fn masks(&self, target: &str) -> Result<Vec<Template>, Refused> {
        self.task
            .masked(target)
            .into_iter()
            .map(|((schema, name), columns)| {
                let pattern = Pattern {
                    kind: Kind::Table,
                    schema: Some(schema.to_owned()),
                    name: Some(name.to_owned()),
                };
                let never = columns.iter().filter(|(_, lookup)| !**lookup);
                let never = never.map(|(column, _)| (*column).to_owned()).collect();
                let shown = columns.iter().filter(|(_, lookup)| **lookup).fold(
                    touches_any(Set::Exposed, &never),
                    |before, (column, _)| {
                        Arc::new(Expr::BinaryOp {
                            op: BinaryOp::Or,
                            left: before,
                            right: shows(column),
                        })
                    },
                );
                Template::new(
                    self.id(&format!("mask/{pattern}")),
                    Effect::Forbid,
                    self.principal(),
                    ActionConstraint::In(vec![self.model.literal(Type::Action, "call")]),
                    self.resource(target, &pattern),
                )
                .try_with_clauses([Clause::When(shown)])
                .map_err(Refused::because)
            })
            .collect()
    }

    /// A policy's id: `task:triage-tickets/read-1/public.tickets`.
    fn id(&self, name: &str) -> pst::PolicyID {
        pst::PolicyID(format!("task:{}/{name}", self.task.name).into())
    }

    fn principal(&self) -> PrincipalConstraint {
        PrincipalConstraint::In(EntityOrSlot::Entity(
            self.model.literal(Type::Task, &self.task.name),
        ))
    }

    fn actions(&self, class: Class, verbs: &[Verb]) -> Result<ActionConstraint, Refused> {
        let actions = verbs.iter().map(|verb| {
            let name = action_name(class, *verb)
                .ok_or_else(|| Refused::because(format_args!("{verb} is not a {class}")))?;
            Ok(self.model.literal(Type::Action, name))
        });
        Ok(ActionConstraint::In(
            actions.collect::<Result<_, Refused>>()?,
        ))
    }

    fn covered(&self, target: &str, covered: &Covered) -> ResourceConstraint {
        match covered {
            Covered::Named(pattern) => self.resource(target, pattern),
            Covered::Requests(_) | Covered::Uris(_) => {
                let ty = self.model.literal(Type::of(covered.kind()), "").ty;
                let target = self.model.literal(Type::Target, &id(&[target]));
                ResourceConstraint::IsIn(ty, EntityOrSlot::Entity(target))
            }
        }
    }

    fn resource(&self, target: &str, pattern: &Pattern) -> ResourceConstraint {
        let ty = Type::of(pattern.kind);
        let uid = |ty, path: &[&str]| EntityOrSlot::Entity(self.model.literal(ty, &id(path)));
        match (&pattern.schema, &pattern.name) {
            (Some(schema), Some(name)) => ResourceConstraint::Eq(uid(ty, &[target, schema, name])),
            (Some(schema), None) => ResourceConstraint::IsIn(
                self.model.literal(ty, "").ty,
                uid(Type::Schema, &[target, schema]),
            ),
            (None, Some(name)) if pattern.kind == Kind::Object => {
                ResourceConstraint::Eq(uid(ty, &[target, "", name]))
            }
            (None, Some(name)) => ResourceConstraint::Eq(uid(ty, &[target, name])),
            (None, None) => ResourceConstraint::Eq(uid(Type::Target, &[target])),
        }
    }
}

/// The sets of a call's context.
#[derive(Clone, Copy)]
enum Set {
    Columns,
    Exposed,
}

/// `[columns…].containsAll(context.columns)`: false as soon as a column is not in the list, and `*`
/// never is.
fn covers_all(columns: &BTreeSet<String>) -> Arc<Expr> {
    Arc::new(Expr::BinaryOp {
        op: BinaryOp::ContainsAll,
        left: literals(columns.iter().map(String::as_str)),
        right: attribute(Var::Context, "columns"),
    })
}

/// `context.SET.containsAny(["*", columns…])`: a column that could not be named counts as all.
fn touches_any(set: Set, columns: &BTreeSet<String>) -> Arc<Expr> {
    let set = match set {
        Set::Columns => "columns",
        Set::Exposed => "exposed",
    };
    Arc::new(Expr::BinaryOp {
        op: BinaryOp::ContainsAny,
        left: attribute(Var::Context, set),
        right: literals(columns.iter().map(String::as_str).chain(["*"])),
    })
}

/// `context.exposed.contains(column) && !context.lookedUp.contains(column)`.
fn shows(column: &str) -> Arc<Expr> {
    let within = |set| {
        Arc::new(Expr::BinaryOp {
            op: BinaryOp::Contains,
            left: attribute(Var::Context, set),
            right: Arc::new(Expr::Literal(Literal::String(column.into()))),
        })
    };
    Arc::new(Expr::BinaryOp {
        op: BinaryOp::And,
        left: within("exposed"),
        right: Arc::new(Expr::UnaryOp {
            op: UnaryOp::Not,
            expr: within("lookedUp"),
        }),
    })
}

fn attribute(of: Var, name: &str) -> Arc<Expr> {
    Arc::new(Expr::GetAttr {
        expr: Arc::new(Expr::Var(of)),
        attr: name.into(),
    })
}

fn literals<'a>(strings: impl Iterator<Item = &'a str>) -> Arc<Expr> {
    let string = |text: &str| Arc::new(Expr::Literal(Literal::String(text.into())));
    Arc::new(Expr::Set(strings.map(string).collect()))
}

fn add(set: &mut PolicySet, template: Template) -> Result<(), Refused> {
    let policy = StaticPolicy::try_from(template).map_err(Refused::because)?;
    let policy = Policy::from_pst(pst::Policy::Static(policy)).map_err(Refused::because)?;
    set.add(policy).map_err(Refused::because)
}

fn add_all<'a>(
    set: &mut PolicySet,
    policies: impl Iterator<Item = &'a Policy>,
) -> Result<(), Refused> {
    for policy in policies {
        set.add(policy.clone()).map_err(Refused::because)?;
    }
    Ok(())
}

fn check(model: &Model, policies: &PolicySet) -> Result<(), Refused> {
    let result = model.validator.validate(policies, ValidationMode::Strict);
    match result.validation_errors().next() {
        None => Ok(()),
        Some(error) => Err(Refused::because(error)),
    }
}
