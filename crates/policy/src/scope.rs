use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_action::{
    Action, Call, Class, Decision, Denial, Fact, FieldPath, Input, Kind, Pin, Resource, Verb,
};
use bailiwick_run::{ApprovalId, Launcher, Run, RunId};
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Entities, EntityUid, PolicySet, Request,
};

use crate::compile::{Compiled, Policies, Slice};
use crate::describe::{self, Line};
use crate::explain;
use crate::guardrail::Guardrail;
use crate::hold::Hold;
use crate::limits::{MAX_ACTIONS, MAX_REMEMBERED, MAX_REMEMBERED_BYTES};
use crate::model::{Model, OPEN, Refused, Type, action_name, id};
use crate::request;
use crate::task::{Clear, Mask, Task};

/// What one run may do: its task's grants, as they were when it was opened, within the guardrails. It never
/// changes; a run that lives to see other guardrails is given another one ([`Engine::guarded`]).
///
/// [`Engine::guarded`]: crate::Engine::guarded
pub struct Scope {
    model: Arc<Model>,
    task: Arc<Task>,
    compiled: Arc<Compiled>,
    guardrails: Arc<[Guardrail]>,
    digest: String,
    run_id: RunId,
    run: EntityUid,
    /// The run, its launcher, its task and its targets.
    entities: Entities,
    remembered: Memory,
}

impl Scope {
    pub(crate) fn new(
        model: Arc<Model>,
        task: Arc<Task>,
        compiled: Arc<Compiled>,
        guardrails: Arc<[Guardrail]>,
        digest: String,
        whose: &Run,
    ) -> Result<Self, Refused> {
        let (uid, [run, launcher]) = model.run(whose)?;
        let task_uid = model.uid(Type::Task, &task.name);
        let mut entities = vec![
            run,
            launcher,
            model.entity(task_uid, &[("name", &task.name)], [])?,
        ];
        for target in compiled.targets.keys() {
            let uid = model.uid(Type::Target, &id(&[target]));
            entities.push(model.entity(uid, &[("name", target)], [])?);
        }
        Ok(Self {
            entities: Entities::from_entities(entities, Some(&model.schema))
                .map_err(Refused::because)?,
            run_id: whose.id,
            run: uid,
            model,
            task,
            compiled,
            guardrails,
            digest,
            remembered: Memory::default(),
        })
    }

    /// Decides a call: every action of it must be allowed. What was not understood, what contradicts
    /// itself and what makes a policy fail is denied. So is a call of which one part would need an approval
    /// and another is denied whoever approves.
    pub fn decide(&self, target: &str, call: &Call) -> Result<Ruling, Denial> {
        if let Some(refusal) = &call.refusal {
            return Err(explain::not_understood(refusal));
        }
        if call.actions.is_empty() {
            return Err(explain::not_understood(
                "it is not known what the statement does",
            ));
        }
        if call.actions.len() > MAX_ACTIONS {
            return Err(explain::not_understood(
                "the statement does too many things at once",
            ));
        }
        let Some(slice) = self.compiled.targets.get(target) else {
            return Err(explain::no_target(&self.task, target));
        };
        let mut policies = BTreeSet::new();
        let mut approvers = BTreeSet::new();
        let mut denied = Vec::new();
        let mut binary = true;
        for action in &call.actions {
            let by = match self.verdict(target, slice, action) {
                Verdict::Allowed(by) => by,
                Verdict::Held(by, who) => {
                    approvers.extend(who.iter().cloned());
                    by
                }
                verdict => {
                    denied.push((action, verdict));
                    continue;
                }
            };
            let granted = by
                .iter()
                .any(|policy| self.compiled.binary.contains(policy));
            binary &= granted || action.verb == Verb::Session;
            policies.extend(by.iter().cloned());
        }
        if !denied.is_empty() {
            return Err(explain::denied(
                &self.task,
                target,
                &denied,
                &self.compiled.masks,
                &self.guardrails,
            ));
        }
        let allow = Allow {
            class: call.class(),
            binary: binary && call.class() != Class::Session,
            policies: policies.into_iter().collect(),
            approval: None,
        };
        if approvers.is_empty() {
            return Ok(Ruling::Allow(allow));
        }
        let digest = self.digest.clone();
        Ok(Ruling::Hold(Hold::new(
            allow,
            approvers,
            self.run_id,
            target.to_owned(),
            digest,
        )))
    }

    /// Whether an action by itself is within the scope, perhaps once somebody has approved it. It lets
    /// nothing through: only [`decide`](Self::decide) does.
    pub fn allows(&self, target: &str, action: &Action) -> bool {
        let slice = self.compiled.targets.get(target);
        slice.is_some_and(|slice| self.verdict(target, slice, action).may_be_allowed())
    }

    /// Whether the run has at least one grant on the target.
    pub fn may_use(&self, target: &str) -> bool {
        self.compiled.targets.contains_key(target)
    }

    /// Gives the actions of a call the class that the task gives them: what a request or a tool is, reading
    /// or more, is for the task to say where it names it.
    ///
    /// Where several grants are met, their heaviest class holds. Where none is, the class stays what the
    /// protocol made it, and the action is denied.
    pub fn settle(&self, target: &str, call: &mut Call) {
        for action in &mut call.actions {
            if let Some(class) = self.task.class_of(target, action) {
                action.class = class;
            }
        }
    }

    /// Whether some grant on the target names the resource, whatever the verb and its conditions, and
    /// whoever has to approve.
    pub fn covers(&self, target: &str, resource: &Resource) -> bool {
        let mut grants = self.task.on(target);
        grants.any(|grant| grant.covers(resource))
    }

    /// Where the conditions of the task's grants on the target look; each place once.
    pub fn inputs(&self, target: &str) -> Vec<Input> {
        let conditions = self.task.on(target).flat_map(|grant| &grant.conditions);
        let inputs: BTreeSet<&Input> = conditions.map(|condition| &condition.input).collect();
        inputs.into_iter().cloned().collect()
    }

    /// The fields of the target's JSON results that the task masks.
    pub fn fields(&self, target: &str) -> Vec<FieldPath> {
        let fields = self.task.fields.iter();
        let fields = fields.filter(|field| field.target == target);
        fields.map(|field| field.path.clone()).collect()
    }

    /// Whether a tool of the target has to be the one that the task was written for. It may be another only
    /// where every grant that names it says so.
    pub fn pin(&self, target: &str, tool: &str) -> Pin {
        self.task.pin(target, tool)
    }

    /// The masked columns of the target.
    pub fn masks(&self, target: &str) -> impl Iterator<Item = &Mask> {
        let masks = self.task.masks.iter();
        masks.filter(move |mask| mask.target == target)
    }

    /// The columns of the target of which some of what detectors find is let through.
    pub fn clears(&self, target: &str) -> impl Iterator<Item = &Clear> {
        let clears = self.task.clears.iter();
        clears.filter(move |clear| clear.target == target)
    }

    /// `sha256:` and a digest of the task, the guardrails and the schema they are checked against.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The task, for another scope.
    pub(crate) fn shared_task(&self) -> Arc<Task> {
        Arc::clone(&self.task)
    }

    /// What the run may do, in words.
    pub fn describe(&self) -> Vec<Line> {
        describe::scope(&self.task, &self.guardrails)
    }

    fn verdict(&self, target: &str, slice: &Slice, action: &Action) -> Verdict {
        let small = size(action) <= MAX_REMEMBERED_BYTES;
        if small && let Some(verdict) = self.remembered.get(target, action) {
            return verdict;
        }
        let verdict = self
            .evaluate(target, slice, &normal(action))
            .unwrap_or(Verdict::Impossible(ENGINE));
        if small {
            self.remembered.put(target, action, &verdict);
        }
        verdict
    }

    fn evaluate(&self, target: &str, slice: &Slice, action: &Action) -> Result<Verdict, Refused> {
        let Some(name) = action_name(action.class, action.verb) else {
            return Ok(Verdict::Impossible(
                "its verb and its class contradict each other",
            ));
        };
        if !is_resolved(&action.resource) {
            return Ok(Verdict::Unresolved);
        }
        if !crate::task::applies(action.verb, action.resource.kind) {
            return Ok(Verdict::Impossible(
                "no grant of this version can cover that",
            ));
        }
        if self.task.class_of(target, action) > Some(action.class) {
            return Ok(Verdict::Impossible(
                "it is taken for less than its task says it is",
            ));
        }
        let (resource, entities) = self.model.resource(target, &action.resource)?;
        let entities = self
            .entities
            .clone()
            .add_entities(entities, Some(&self.model.schema))
            .map_err(Refused::because)?;
        let ask = |policies: &Policies, met: &BTreeSet<String>| {
            let request = Request::new(
                self.run.clone(),
                self.model.uid(Type::Action, name),
                resource.clone(),
                self.model.context(action, met)?,
                Some(&self.model.schema),
            )
            .map_err(Refused::because)?;
            Ok(Verdict::of(&request, policies.of(action), &entities))
        };
        let before = ask(&slice.before, &self.task.might_meet(target, action))?;
        let verdict = match (&slice.after, before) {
            (Some(after), before @ (Verdict::Forbidden(_) | Verdict::NotPermitted)) => {
                let after = ask(after, &self.task.met(target, action))?;
                self.between(&before, after)
            }
            (_, before) => before,
        };
        let resource = &action.resource;
        let unpinned = resource.kind == Kind::Tool
            && verdict.may_be_allowed()
            && self.task.pin(target, &resource.name) == Pin::Missing;
        Ok(if unpinned {
            Verdict::NotPinned
        } else {
            verdict
        })
    }

    /// What stands between a denial and an allow: the approvals of every grant that holds the action, or
    /// covers it.
    fn between(&self, before: &Verdict, after: Verdict) -> Verdict {
        let Verdict::Allowed(by) = after else {
            return after;
        };
        let held: &[String] = match before {
            Verdict::Forbidden(held) => held,
            _ => &[],
        };
        let concerned = held.iter().chain(by.iter());
        let who: BTreeSet<&String> = concerned
            .filter_map(|policy| self.compiled.holds.get(policy))
            .collect();
        if who.is_empty() {
            return Verdict::Impossible("nobody is named who could approve it");
        }
        Verdict::Held(by, who.into_iter().cloned().collect())
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scope({}, {})", self.run, self.digest)
    }
}

/// What a scope says of a call that it does not deny.
#[derive(Debug)]
pub enum Ruling {
    /// It may be made.
    Allow(Allow),
    /// It may be made once people have said yes to it.
    Hold(Hold),
}

/// The proof that a call is allowed. Only [`Scope::decide`] makes one, or a [`Hold`] that was approved, and
/// it is used up by the gate that lets the call through, so it cannot be copied.
#[derive(Debug)]
pub struct Allow {
    class: Class,
    binary: bool,
    policies: Vec<String>,
    approval: Option<ApprovalId>,
}

impl Allow {
    /// The same, for which this approval was used up.
    pub(crate) fn approved_by(self, approval: ApprovalId) -> Self {
        Self {
            approval: Some(approval),
            ..self
        }
    }

    pub(crate) fn policies(&self) -> &[String] {
        &self.policies
    }

    /// The decision, for the record.
    pub fn decision(&self) -> Decision {
        Decision::Allow {
            policies: self.policies.clone(),
            approval: self.approval.map(|approval| approval.to_string()),
        }
    }

    /// Whether the grants that allow the call let its result be of a type that cannot be masked.
    pub fn binary(&self) -> bool {
        self.binary
    }

    /// The heaviest class among the call's actions.
    pub fn class(&self) -> Class {
        self.class
    }
}

/// Why an action could not even be put to the policies.
const ENGINE: &str = "the policies could not be asked about it";

/// What the policies say about one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// These permit it.
    Allowed(Arc<[String]>),
    /// These permit it, once all of those have approved it.
    Held(Arc<[String]>, Arc<[String]>),
    /// These forbid it.
    Forbidden(Arc<[String]>),
    /// Nothing permits it.
    NotPermitted,
    /// These failed. Cedar itself would pass over them, and over the forbids among them.
    Failed(Arc<[String]>),
    /// The resource could not be named exactly.
    Unresolved,
    /// These would permit a tool, but nobody has said which definition of it the task was written for.
    NotPinned,
    /// It cannot be allowed by any policy.
    Impossible(&'static str),
}

impl Verdict {
    pub(crate) fn is_allowed(&self) -> bool {
        matches!(self, Verdict::Allowed(_))
    }

    /// Whether it is allowed, or would be if people approved.
    fn may_be_allowed(&self) -> bool {
        matches!(self, Verdict::Allowed(_) | Verdict::Held(..))
    }

    fn of(request: &Request, policies: &PolicySet, entities: &Entities) -> Self {
        let response = Authorizer::new().is_authorized(request, policies, entities);
        let diagnostics = response.diagnostics();
        let failed: BTreeSet<String> = diagnostics
            .errors()
            .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().to_string())
            .collect();
        if !failed.is_empty() {
            return Verdict::Failed(failed.into_iter().collect());
        }
        let reason: BTreeSet<String> = diagnostics.reason().map(ToString::to_string).collect();
        let reason: Arc<[String]> = reason.into_iter().collect();
        match response.decision() {
            // An allow that no policy gave would be a fault, and is none.
            cedar_policy::Decision::Allow if !reason.is_empty() => Verdict::Allowed(reason),
            cedar_policy::Decision::Deny if !reason.is_empty() => Verdict::Forbidden(reason),
            _ => Verdict::NotPermitted,
        }
    }
}

/// Whether the launcher may open a run of the task.
pub(crate) fn open(model: &Model, compiled: &Compiled, task: &str, launcher: &Launcher) -> Verdict {
    let ask = || -> Result<Verdict, Refused> {
        let task_uid = model.uid(Type::Task, task);
        let launcher_uid = model.uid(Type::Launcher, launcher.as_str());
        let entities = [
            model.entity(task_uid.clone(), &[("name", task)], [])?,
            model.entity(launcher_uid.clone(), &[("name", launcher.as_str())], [])?,
        ];
        let entities =
            Entities::from_entities(entities, Some(&model.schema)).map_err(Refused::because)?;
        let request = Request::new(
            launcher_uid,
            model.uid(Type::Action, OPEN),
            task_uid,
            Context::empty(),
            Some(&model.schema),
        )
        .map_err(Refused::because)?;
        Ok(Verdict::of(&request, &compiled.open, &entities))
    };
    ask().unwrap_or(Verdict::Impossible(ENGINE))
}

/// Whether the resource has the exact name that a grant could give. `*` is how a call says that it
/// could not tell.
fn is_resolved(resource: &Resource) -> bool {
    let named = |name: &str| !name.is_empty() && name != "*";
    match resource.kind {
        Kind::Target => resource.schema.is_none() && resource.name.is_empty(),
        Kind::Table | Kind::Function => {
            resource.schema.as_deref().is_some_and(named) && named(&resource.name)
        }
        Kind::Object => resource.schema.as_deref().is_none_or(named) && named(&resource.name),
        Kind::Request => resource.schema.is_none() && request::is_one(resource),
        Kind::Feature | Kind::Prompt | Kind::Role | Kind::Setting | Kind::Tool | Kind::Uri => {
            resource.schema.is_none() && named(&resource.name)
        }
    }
}

/// The action with its resource spelled the one way that policies spell it.
fn normal(action: &Action) -> Cow<'_, Action> {
    let resource = &action.resource;
    if resource.kind == Kind::Setting && resource.name.bytes().any(|b| b.is_ascii_uppercase()) {
        let mut action = action.clone();
        action.resource.name.make_ascii_lowercase();
        Cow::Owned(action)
    } else {
        Cow::Borrowed(action)
    }
}

/// The verdicts so far, by target and action. A scope never changes and no policy looks at the time,
/// so a verdict stays true; expiry, revocation and what people approve are watched elsewhere.
#[derive(Default)]
struct Memory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    count: usize,
    verdicts: HashMap<String, HashMap<Action, Verdict>>,
}

impl Memory {
    fn get(&self, target: &str, action: &Action) -> Option<Verdict> {
        // Entries go in whole, so a panic elsewhere leaves nothing half done.
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.verdicts.get(target)?.get(action).cloned()
    }

    fn put(&self, target: &str, action: &Action, verdict: &Verdict) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.count >= MAX_REMEMBERED {
            *remembered = Remembered::default();
        }
        let of_target = remembered.verdicts.entry(target.to_owned()).or_default();
        if of_target.insert(action.clone(), verdict.clone()).is_none() {
            remembered.count += 1;
        }
    }
}

/// The bytes that an action's names and facts take.
fn size(action: &Action) -> usize {
    let columns = action.columns.iter().chain(&action.exposed);
    let columns = columns.chain(&action.looked_up);
    let schema = action.resource.schema.iter();
    let names = columns.chain(schema).chain([&action.resource.name]);
    let names: usize = names.map(String::len).sum();
    let facts: usize = action.facts.values().flatten().map(fact_size).sum();
    // Where conditions look is for the task to say, and the same for every call.
    names + facts
}

fn fact_size(fact: &Fact) -> usize {
    let text = match fact {
        Fact::Number(text) | Fact::Text(text) => text.len(),
        Fact::Null | Fact::Bool(_) | Fact::Other => 0,
    };
    size_of::<Fact>() + text
}
