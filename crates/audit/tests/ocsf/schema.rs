//! Checks events against the table in `schema.txt`, which says where it comes from.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

const TABLE: &str = include_str!("schema.txt");

/// The part of the OCSF schema that events use.
pub(crate) struct Schema {
    classes: BTreeMap<u64, Definition>,
    objects: BTreeMap<String, Definition>,
}

#[derive(Clone, Default)]
struct Definition {
    attributes: BTreeMap<String, Attribute>,
    at_least_one: Vec<String>,
}

#[derive(Clone)]
struct Attribute {
    requirement: String,
    kind: String,
    is_list: bool,
    profile: Option<String>,
    sibling: Option<String>,
    /// Values and captions; empty where any value will do.
    values: BTreeMap<u64, String>,
}

impl Schema {
    pub(crate) fn new() -> Self {
        let mut schema = Self {
            classes: BTreeMap::new(),
            objects: BTreeMap::new(),
        };
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<_> = lines.collect();
        for block in lines.split(|line| line.is_empty()) {
            let Some((head, rest)) = block.split_first() else {
                continue;
            };
            match head.split(' ').collect::<Vec<_>>()[..] {
                ["class", uid, _] => {
                    let base = schema.classes.get(&0).cloned().unwrap_or_default();
                    let class = base.with(rest);
                    schema.classes.insert(uid.parse().unwrap(), class);
                }
                ["object", name] => {
                    let object = Definition::default().with(rest);
                    schema.objects.insert(name.to_owned(), object);
                }
                _ => panic!("what is `{head}`?"),
            }
        }
        schema
    }

    /// Everything that is wrong with an event, each with the path to it.
    pub(crate) fn problems(&self, event: &Value) -> Vec<String> {
        let mut check = Check {
            schema: self,
            profiles: Vec::new(),
            problems: Vec::new(),
        };
        check.event(event);
        check.problems
    }
}

impl Definition {
    fn with(mut self, lines: &[&str]) -> Self {
        for line in lines {
            let (name, rest) = line.split_once(' ').unwrap();
            if name == "at_least_one" {
                self.at_least_one = rest.split(' ').map(str::to_owned).collect();
            } else {
                self.attributes
                    .insert(name.to_owned(), Attribute::parse(rest));
            }
        }
        self
    }
}

impl Attribute {
    fn parse(text: &str) -> Self {
        let (text, values) = text.split_once(" enum:").unwrap_or((text, ""));
        let values = values.split('|').filter_map(|value| value.split_once('='));
        let values = values.map(|(value, caption)| (value.parse().unwrap(), caption.to_owned()));
        let mut words = text.split(' ');
        let requirement = words.next().unwrap().to_owned();
        let kind = words.next().unwrap();
        let mut attribute = Self {
            requirement,
            kind: kind.trim_end_matches("[]").to_owned(),
            is_list: kind.ends_with("[]"),
            profile: None,
            sibling: None,
            values: values.collect(),
        };
        for word in words {
            match word.split_once(':').unwrap() {
                ("profile", profile) => attribute.profile = Some(profile.to_owned()),
                ("sibling", sibling) => attribute.sibling = Some(sibling.to_owned()),
                _ => panic!("what is `{word}`?"),
            }
        }
        attribute
    }
}

struct Check<'s> {
    schema: &'s Schema,
    profiles: Vec<String>,
    problems: Vec<String>,
}

impl Check<'_> {
    fn event(&mut self, event: &Value) {
        let number = |name: &str| event[name].as_u64().unwrap_or(u64::MAX);
        let Some(class) = self.schema.classes.get(&number("class_uid")) else {
            return self.problem("", "its class is not in the table");
        };
        if number("class_uid") * 100 + number("activity_id") != number("type_uid") {
            self.problem("type_uid", "is not class_uid * 100 + activity_id");
        }
        if event["metadata"]["version"] != "1.9.0" {
            self.problem("metadata.version", "is another");
        }
        let profiles = event["metadata"]["profiles"].as_array();
        let profiles = profiles.into_iter().flatten().filter_map(Value::as_str);
        self.profiles = profiles.map(str::to_owned).collect();
        for profile in self.profiles.clone() {
            let mut of_profile = class
                .attributes
                .iter()
                .filter(|(_, attribute)| attribute.profile.as_ref() == Some(&profile));
            if !of_profile.any(|(name, _)| event.get(name).is_some()) {
                self.problem("metadata.profiles", &format!("{profile} is not used"));
            }
        }
        match event.as_object() {
            Some(event) => self.object("", class, event),
            None => self.problem("", "is no object"),
        }
    }

    fn object(&mut self, path: &str, definition: &Definition, object: &Map<String, Value>) {
        for (name, attribute) in &definition.attributes {
            let applies =
                (attribute.profile.as_ref()).is_none_or(|profile| self.profiles.contains(profile));
            if applies && attribute.requirement == "required" && !object.contains_key(name) {
                self.problem(&join(path, name), "is missing");
            }
        }
        let constraint = &definition.at_least_one;
        if !constraint.is_empty() && !constraint.iter().any(|name| object.contains_key(name)) {
            self.problem(path, &format!("has none of {constraint:?}"));
        }
        for (name, value) in object {
            let path = join(path, name);
            let Some(attribute) = definition.attributes.get(name) else {
                self.problem(&path, "is not in the schema");
                continue;
            };
            if let Some(profile) = &attribute.profile
                && !self.profiles.contains(profile)
            {
                self.problem(&path, &format!("is of the profile {profile}"));
            }
            if attribute.requirement == "deprecated" {
                self.problem(&path, "is deprecated");
            }
            match (attribute.is_list, value.as_array()) {
                (true, Some(values)) => {
                    for (index, value) in values.iter().enumerate() {
                        self.value(&join(&path, &index.to_string()), attribute, value);
                    }
                }
                (false, None) => self.value(&path, attribute, value),
                _ => self.problem(&path, "is a list or should be one"),
            }
            self.caption(&path, attribute, value, object);
        }
    }

    fn value(&mut self, path: &str, attribute: &Attribute, value: &Value) {
        let fits = match attribute.kind.as_str() {
            "boolean_t" => value.is_boolean(),
            "integer_t" | "long_t" => value.is_i64(),
            "timestamp_t" => value.as_u64().is_some_and(|time| time > 1_000_000_000_000),
            "string_t" | "file_hash_t" | "username_t" => {
                value.as_str().is_some_and(|text| !text.is_empty())
            }
            "object" => value.is_object(),
            kind => match (self.schema.objects.get(kind), value.as_object()) {
                (Some(definition), Some(object)) => {
                    return self.object(path, definition, object);
                }
                (None, _) => return self.problem(path, &format!("is a {kind}: not in the table")),
                (_, None) => false,
            },
        };
        if !fits {
            self.problem(path, &format!("is no {}: {value}", attribute.kind));
        }
    }

    /// A value is one of those that there are, and its caption stands beside it.
    fn caption(&mut self, path: &str, of: &Attribute, value: &Value, object: &Map<String, Value>) {
        if of.values.is_empty() {
            return;
        }
        let Some(caption) = value.as_u64().and_then(|value| of.values.get(&value)) else {
            return self.problem(path, &format!("cannot be {value}"));
        };
        let said = of.sibling.as_ref().and_then(|sibling| object.get(sibling));
        match (value.as_u64(), said) {
            (Some(99), None) => self.problem(path, "is Other, and nobody says which"),
            (Some(99), Some(said)) if said == caption => {
                self.problem(path, "is Other, and nobody says which");
            }
            (Some(99), _) | (_, None) => {}
            (_, Some(said)) if said == caption => {}
            (_, Some(said)) => self.problem(path, &format!("is {caption}, not {said}")),
        }
    }

    fn problem(&mut self, path: &str, what: &str) {
        self.problems.push(format!("{path} {what}"));
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}
