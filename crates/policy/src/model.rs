//! The vocabulary of `schema.cedarschema` and how our own becomes it. Nothing here, or anywhere in
//! this crate, puts Cedar text together: policies and requests are built as trees.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Display;

use bailiwick_action::{Action, Class, Kind, Resource, Verb};
use bailiwick_run::Run;
use cedar_policy::{
    Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema, Validator,
    pst,
};

const SCHEMA: &str = include_str!("../schema.cedarschema");
const NAMESPACE: &str = "Bailiwick";

/// The action of opening a run.
pub(crate) const OPEN: &str = "open";

/// The schema that all policies and requests are checked against.
pub(crate) struct Model {
    pub(crate) schema: Schema,
    pub(crate) validator: Validator,
    names: HashMap<Type, (EntityTypeName, pst::EntityType)>,
    fallback: (EntityTypeName, pst::EntityType),
}

/// Cedar could not be given something. It does not happen to anything that a file or an agent says;
/// if it does, loading fails and deciding denies.
#[derive(Debug, thiserror::Error)]
#[error("the policy engine refused its input: {0}")]
pub(crate) struct Refused(String);

impl Refused {
    pub(crate) fn because(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// The entity types of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    Action,
    Feature,
    Function,
    Launcher,
    Object,
    Prompt,
    Request,
    Role,
    Run,
    Schema,
    Setting,
    Table,
    Target,
    Task,
    Tool,
    Uri,
}

impl Type {
    const ALL: [Type; 16] = [
        Type::Action,
        Type::Feature,
        Type::Function,
        Type::Launcher,
        Type::Object,
        Type::Prompt,
        Type::Request,
        Type::Role,
        Type::Run,
        Type::Schema,
        Type::Setting,
        Type::Table,
        Type::Target,
        Type::Task,
        Type::Tool,
        Type::Uri,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Type::Action => "Action",
            Type::Feature => "Feature",
            Type::Function => "Function",
            Type::Launcher => "Launcher",
            Type::Object => "Object",
            Type::Prompt => "Prompt",
            Type::Request => "Request",
            Type::Role => "Role",
            Type::Run => "Run",
            Type::Schema => "Schema",
            Type::Setting => "Setting",
            Type::Table => "Table",
            Type::Target => "Target",
            Type::Task => "Task",
            Type::Tool => "Tool",
            Type::Uri => "Uri",
        }
    }

    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Feature => Type::Feature,
            Kind::Function => Type::Function,
            Kind::Object => Type::Object,
            Kind::Prompt => Type::Prompt,
            Kind::Request => Type::Request,
            Kind::Role => Type::Role,
            Kind::Setting => Type::Setting,
            Kind::Table => Type::Table,
            Kind::Target => Type::Target,
            Kind::Tool => Type::Tool,
            Kind::Uri => Type::Uri,
        }
    }
}

impl Model {
    pub(crate) fn new() -> Result<Self, Refused> {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(Refused::because)?;
        let mut names = HashMap::new();
        for ty in Type::ALL {
            names.insert(ty, name(ty.as_str())?);
        }
        Ok(Self {
            validator: Validator::new(schema.clone()),
            schema,
            names,
            fallback: name("Unknown")?,
        })
    }

    /// The schema's text, for digests.
    pub(crate) fn text(&self) -> &'static str {
        SCHEMA
    }

    /// An entity as a request names it.
    pub(crate) fn uid(&self, ty: Type, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.name(ty).0.clone(), EntityId::new(id))
    }

    /// An entity as a policy names it.
    pub(crate) fn literal(&self, ty: Type, id: &str) -> pst::EntityUID {
        pst::EntityUID {
            ty: self.name(ty).1.clone(),
            eid: id.into(),
        }
    }

    fn name(&self, ty: Type) -> &(EntityTypeName, pst::EntityType) {
        // `new` names every type; the type it falls back on is in no schema and matches nothing.
        self.names.get(&ty).unwrap_or(&self.fallback)
    }

    /// An entity whose attributes are all strings.
    pub(crate) fn entity(
        &self,
        uid: EntityUid,
        attributes: &[(&str, &str)],
        parents: impl IntoIterator<Item = EntityUid>,
    ) -> Result<Entity, Refused> {
        let attributes = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), string(value)))
            .collect();
        let parents: HashSet<_> = parents.into_iter().collect();
        Entity::new(uid, attributes, parents).map_err(Refused::because)
    }

    /// The run and its launcher as entities.
    pub(crate) fn run(&self, run: &Run) -> Result<(EntityUid, [Entity; 2]), Refused> {
        let launcher = self.uid(Type::Launcher, run.launcher.as_str());
        let uid = self.uid(Type::Run, &run.id.to_string());
        let attributes = HashMap::from([
            (
                "launcher".to_owned(),
                RestrictedExpression::new_entity_uid(launcher.clone()),
            ),
            ("confinement".to_owned(), string(run.confinement.as_str())),
        ]);
        let parents = HashSet::from([self.uid(Type::Task, &run.task)]);
        let entity = Entity::new(uid.clone(), attributes, parents).map_err(Refused::because)?;
        let launcher = self.entity(launcher, &[("name", run.launcher.as_str())], [])?;
        Ok((uid, [entity, launcher]))
    }

    /// A resource of a target, and the schema it is in, as entities. The target is not among them.
    pub(crate) fn resource(
        &self,
        target: &str,
        resource: &Resource,
    ) -> Result<(EntityUid, Vec<Entity>), Refused> {
        let target_uid = self.uid(Type::Target, &id(&[target]));
        if resource.kind == Kind::Target {
            return Ok((target_uid, Vec::new()));
        }
        let uid = self.uid(Type::of(resource.kind), &resource_id(target, resource));
        let name = ("name", resource.name.as_str());
        let Some(schema) = &resource.schema else {
            let request;
            let attributes: &[_] = match resource.kind {
                Kind::Object => &[name, ("schema", "")],
                Kind::Request => {
                    let (method, path) = resource.method_and_path().unwrap_or_default();
                    request = [name, ("method", method), ("path", path)];
                    &request
                }
                _ => &[name],
            };
            let entity = self.entity(uid.clone(), attributes, [target_uid])?;
            return Ok((uid, vec![entity]));
        };
        let schema_uid = self.uid(Type::Schema, &id(&[target, schema]));
        let entities = vec![
            self.entity(schema_uid.clone(), &[("name", schema)], [target_uid])?,
            self.entity(uid.clone(), &[name, ("schema", schema)], [schema_uid])?,
        ];
        Ok((uid, entities))
    }

    /// The context of an action, and of the entries of grants that it meets.
    pub(crate) fn context(
        &self,
        action: &Action,
        grants: &BTreeSet<String>,
    ) -> Result<Context, Refused> {
        let set = |names: &BTreeSet<String>| {
            RestrictedExpression::new_set(names.iter().map(|name| string(name)))
        };
        Context::from_pairs([
            ("columns".to_owned(), set(&action.columns)),
            ("exposed".to_owned(), set(&action.exposed)),
            ("lookedUp".to_owned(), set(&action.looked_up)),
            ("grants".to_owned(), set(grants)),
        ])
        .map_err(Refused::because)
    }
}

/// What the schema calls an action: its verb, and for a function also the class. Nothing where the
/// two contradict each other.
pub(crate) fn action_name(class: Class, verb: Verb) -> Option<&'static str> {
    match (verb, class) {
        (Verb::Execute, Class::Read) => Some("execute-read"),
        (Verb::Execute, Class::Write) => Some("execute-write"),
        (Verb::Execute, Class::Destroy) => Some("execute-destroy"),
        (Verb::Execute, Class::Admin) => Some("execute-admin"),
        (Verb::Request, Class::Read) => Some("request-read"),
        (Verb::Request, Class::Write) => Some("request-write"),
        (Verb::Request, Class::Destroy) => Some("request-destroy"),
        (Verb::Request, Class::Admin) => Some("request-admin"),
        _ => (verb.class() == Some(class)).then(|| verb.as_str()),
    }
}

/// An entity's id from the names that lead to it. Escaped, so that no two paths share an id.
pub(crate) fn id(path: &[&str]) -> String {
    let escaped: Vec<_> = path
        .iter()
        .map(|part| part.replace('%', "%25").replace('/', "%2F"))
        .collect();
    escaped.join("/")
}

/// The id of a resource: its kind is the entity's type.
pub(crate) fn resource_id(target: &str, resource: &Resource) -> String {
    match (&resource.schema, resource.kind) {
        (Some(schema), _) => id(&[target, schema, &resource.name]),
        (None, Kind::Object) => id(&[target, "", &resource.name]),
        (None, _) => id(&[target, &resource.name]),
    }
}

fn name(basename: &str) -> Result<(EntityTypeName, pst::EntityType), Refused> {
    let name = pst::Name::qualified([NAMESPACE], basename).map_err(Refused::because)?;
    let parsed = name.to_string().parse().map_err(Refused::because)?;
    Ok((parsed, pst::EntityType::from_name(name)))
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::applies;

    #[test]
    fn no_two_paths_share_an_id() {
        assert_ne!(id(&["t", "a/b", "c"]), id(&["t", "a", "b/c"]));
        assert_ne!(id(&["t", "a%2Fb"]), id(&["t", "a/b"]));
        let plain = Resource::named(Kind::Object, "a/b");
        let mut within = Resource::named(Kind::Object, "b");
        within.schema = Some("a".into());
        assert_ne!(resource_id("t", &plain), resource_id("t", &within));
    }

    /// The schema, and what a task file may combine, are the same table.
    #[test]
    fn a_verb_applies_to_what_the_schema_says() {
        let model = Model::new().unwrap();
        let kinds = [
            Kind::Feature,
            Kind::Function,
            Kind::Object,
            Kind::Prompt,
            Kind::Request,
            Kind::Role,
            Kind::Setting,
            Kind::Table,
            Kind::Target,
            Kind::Tool,
            Kind::Uri,
        ];
        for verb in Verb::ALL {
            for class in verb.class().map_or(
                vec![Class::Read, Class::Write, Class::Destroy, Class::Admin],
                |class| vec![class],
            ) {
                let action = model.uid(Type::Action, action_name(class, verb).unwrap());
                let types: Vec<_> = model
                    .schema
                    .resources_for_action(&action)
                    .unwrap()
                    .collect();
                for kind in kinds {
                    let applied = types.contains(&&model.name(Type::of(kind)).0);
                    assert_eq!(applied, applies(verb, kind), "{verb} {kind:?}");
                }
            }
        }
    }

    #[test]
    fn a_class_that_contradicts_the_verb_has_no_action() {
        assert_eq!(action_name(Class::Read, Verb::Delete), None);
        assert_eq!(action_name(Class::Session, Verb::Execute), None);
    }
}
