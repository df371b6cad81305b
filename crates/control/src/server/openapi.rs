//! The document that describes the API: what the handlers say of themselves, completed by what holds for all
//! of them.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::api::{Problem, schema};
use crate::server::routes;

/// How the token is called in the document.
const TOKEN: &str = "token";

/// What all of it is about, in the document.
const ABOUT: &str = "\
What `bailiwick serve` answers on the Unix socket `control.sock` in its data folder and, where `control` under \
`[listen]` says so, over TCP.\n\n\
Every request carries a bearer token. The names beside it in `security` are the roles of which the caller needs \
one; `admin` has them all. Over the socket the token proves that the caller may read the gateway's files, and \
the socket which local user it is. What opens, ends or removes something wants to know who asks.\n\n\
An error is `application/problem+json` (RFC 9457): `type` names the sort, `detail` says what happened and what to \
do. A request that is not as described is refused, never guessed at: unknown fields and parameters, too.";

/// The groups that operations are in.
const TAGS: [(&str, &str); 7] = [
    ("runs", "Runs: opened, seen, ended"),
    ("records", "The record: read and searched"),
    ("tasks", "What runs are for, and what they may do"),
    ("approvals", "Calls that wait for somebody's yes"),
    ("people", "Who asks, and how people come to the console"),
    ("log", "Keeping the log and its index"),
    ("gateway", "The gateway itself"),
];

/// The document of this version of the gateway, as JSON.
pub fn openapi(version: &str) -> String {
    complete(routes::api().into_openapi(), version)
}

/// What the handlers say of themselves, with what holds for all, as JSON.
pub(super) fn complete(mut api: OpenApi, version: &str) -> String {
    api.info = InfoBuilder::new()
        .title("Bailiwick")
        .version(version)
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let tag = |(name, about): (&str, &str)| {
        TagBuilder::new()
            .name(name)
            .description(Some(about))
            .build()
    };
    api.tags = Some(TAGS.map(tag).into());
    let components = api.components.get_or_insert_default();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "The token in `control.token` in the gateway's data folder, which changes with every start; or that \
             of a program, from the configuration",
        ))
        .build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
    // Those of parameters are not found by themselves.
    components.schemas.extend(schema::all());
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    for item in api.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            complete_operation(operation);
        }
    }
    // Nothing in it is a map with keys other than texts.
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    bound(&mut document);
    format!("{document:#}\n")
}

/// Says of numbers that are never negative how large they may be: utoipa knows only formats with a sign.
fn bound(document: &mut Value) {
    match document {
        Value::Object(object) => {
            let unsigned = object.get("minimum").is_some_and(|least| *least == 0);
            let format = object.get("format").and_then(Value::as_str);
            let (format, most) = match (unsigned, format) {
                (true, Some("int32")) => ("uint32", u64::from(u32::MAX)),
                (true, Some("int64")) => ("uint64", u64::MAX),
                _ => return object.values_mut().for_each(bound),
            };
            object.insert("format".into(), format.into());
            object.insert("maximum".into(), most.into());
        }
        Value::Array(array) => array.iter_mut().for_each(bound),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What an operation may answer besides because of what it takes.
fn complete_operation(operation: &mut Operation) {
    let (mut in_path, mut in_query) = (false, false);
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            in_path |= parameter.parameter_in == ParameterIn::Path;
            in_query |= parameter.parameter_in == ParameterIn::Query;
            not_null(parameter);
        }
    }
    let has_body = operation.request_body.is_some();
    let mut also = vec![
        (
            StatusCode::UNAUTHORIZED,
            "There is no token, or a wrong one",
        ),
        (
            StatusCode::FORBIDDEN,
            "The caller may not do this, or not from there",
        ),
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "The gateway failed; its own log says why",
        ),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "The record or the registry cannot be used now, or the gateway stops",
        ),
        (StatusCode::GATEWAY_TIMEOUT, "It was not done in time"),
    ];
    if in_path || in_query || has_body {
        also.push((StatusCode::BAD_REQUEST, "It is not as described here"));
    }
    if in_path || has_body {
        also.push((StatusCode::NOT_FOUND, "What it names does not exist"));
    }
    if in_query || has_body {
        also.push((
            StatusCode::UNPROCESSABLE_ENTITY,
            "It can be read, and not be done",
        ));
    }
    if has_body {
        also.push((
            StatusCode::PAYLOAD_TOO_LARGE,
            "The body is longer than 64 KiB",
        ));
        also.push((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The body is not `application/json`",
        ));
    }
    let responses: &mut BTreeMap<String, RefOr<Response>> = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && !status.starts_with('2')
        {
            *response = problem(&response.description);
        }
    }
    for (status, what) in also {
        responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| problem(what).into());
    }
}

fn problem(what: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    ResponseBuilder::new()
        .description(what)
        .content("application/problem+json", content)
        .build()
}

/// A parameter that is not there is left out: there is no way to write a null.
fn not_null(parameter: &mut Parameter) {
    if let Some(schema) = &mut parameter.schema
        && let Some(bare) = without_null(schema)
    {
        *schema = bare;
    }
}

/// The schema without null, if null is in it.
fn without_null(schema: &mut RefOr<Schema>) -> Option<RefOr<Schema>> {
    let is_null = |schema: &RefOr<Schema>| match schema {
        RefOr::T(Schema::Object(object)) => object.schema_type == SchemaType::Type(Type::Null),
        _ => false,
    };
    match schema {
        RefOr::T(Schema::Object(object)) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|one| *one != Type::Null);
                if let [only] = types.as_slice() {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
            None
        }
        RefOr::T(Schema::OneOf(one_of)) => {
            one_of.items.retain(|item| !is_null(item));
            match one_of.items.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            }
        }
        RefOr::T(Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                without_null(items);
            }
            None
        }
        RefOr::T(_) | RefOr::Ref(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::people::{People, PeopleSettings, Person, Role, Via};
    use crate::server::ServerSettings;
    use crate::server::guard::LocalTokens;
    use crate::server::monitoring::{Monitoring, Watched};
    use crate::server::person::Asker;
    use crate::testing::House;
    use crate::token::Token;
    use axum::body::Body;
    use axum::http::Request;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    fn document() -> Value {
        serde_json::from_str(&openapi("1.2.3")).unwrap()
    }

    fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            let item = item.as_object().unwrap();
            item.iter()
                .map(move |(method, operation)| (path, method, operation))
        })
    }

    fn settings(house: &House) -> ServerSettings {
        ServerSettings {
            data: house.data(),
            shared: None,
            network: None,
            public_log: false,
            version: String::new(),
            people: PeopleSettings::default(),
        }
    }

    fn people() -> Arc<People> {
        Arc::new(People::new(PeopleSettings::default()).unwrap())
    }

    #[tokio::test]
    async fn what_is_served_is_described() {
        let house = House::new();
        let registry = house.start().await.registry;
        let tokens = LocalTokens {
            own: Token::create(&house.data(), None).unwrap(),
            shared: None,
        };
        let watched = Watched::new(registry.clone(), Monitoring::default());
        // An `axum` router tells its paths to nobody but whoever debugs it.
        let router = routes::router(
            registry,
            tokens,
            &settings(&house),
            people(),
            None,
            &watched,
        );
        let served = format!("{router:?}");
        let served: BTreeSet<_> = served
            .split('"')
            .filter(|part| part.starts_with("/v1/"))
            .collect();
        let document = document();
        let described: BTreeSet<_> = operations(&document)
            .map(|(path, ..)| path.as_str())
            .collect();
        assert!(served.len() > 10, "{served:?}");
        assert_eq!(served, described);
    }

    #[test]
    fn every_operation_says_what_it_is_and_whom_it_is_for() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], "1.2.3");
        let roles = Role::ALL.map(Role::as_str);
        let mut names = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let place = format!("{method} {path}");
            assert!(
                names.insert(operation["operationId"].as_str().unwrap()),
                "{place}"
            );
            assert!(
                !operation["summary"].as_str().unwrap().is_empty(),
                "{place}"
            );
            let tag = operation["tags"][0].as_str().unwrap();
            assert!(TAGS.iter().any(|(name, _)| *name == tag), "{place}: {tag}");
            let wanted = operation["security"][0][TOKEN].as_array().unwrap();
            assert!(!wanted.is_empty(), "{place}");
            for role in wanted {
                assert!(roles.contains(&role.as_str().unwrap()), "{place}: {role}");
            }
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses {
                let is_error = !status.starts_with('2');
                let content = response["content"].as_object().unwrap();
                assert_eq!(
                    content.contains_key("application/problem+json"),
                    is_error,
                    "{place} {status}"
                );
            }
        }
    }

    /// What whoever has this role alone gets: the status, and the sort of problem.
    async fn ask(
        router: &axum::Router,
        role: Role,
        method: &str,
        path: &str,
    ) -> (StatusCode, String) {
        let asker = Asker(Ok(Person {
            name: "human:a@localhost".parse().unwrap(),
            also: BTreeSet::new(),
            roles: [role].into(),
            groups: BTreeSet::new(),
            via: Via::Oidc,
        }));
        let request = Request::builder()
            .method(method.to_uppercase().as_str())
            .uri(path)
            .header("content-type", "application/json")
            .extension(asker)
            .body(Body::from("{}"))
            .unwrap();
        let service = TowerToHyperService::new(router.clone());
        let response = service.call(request).await.unwrap();
        let status = response.status();
        if status != StatusCode::FORBIDDEN {
            return (status, String::new());
        }
        let body = axum::body::to_bytes(response.into_body(), 65_536)
            .await
            .unwrap();
        (
            status,
            serde_json::from_slice::<Problem>(&body).unwrap().kind,
        )
    }

    #[tokio::test]
    async fn the_roles_that_are_described_are_those_that_are_asked_for() {
        let house = House::new();
        let running = house.start().await;
        let settings = settings(&house);
        let (router, description) = routes::api().split_for_parts();
        let app = routes::App::new(
            running.registry.clone(),
            &settings,
            people(),
            None,
            description,
        );
        let router = router.with_state(Arc::new(app));
        let document = document();
        for (path, method, operation) in operations(&document) {
            let wanted = operation["security"][0][TOKEN].as_array().unwrap();
            let wanted: Vec<_> = wanted.iter().map(|role| role.as_str().unwrap()).collect();
            let at = path
                .replace("{run}", "run_01KB0000000000000000000000")
                .replace("{seq}", "1")
                .replace("{id}", "apr_01KB0000000000000000000000")
                .replace("{name}", "none");
            assert!(!at.contains('{'), "{at}: say here what stands for it");
            for role in Role::ALL {
                let lets = Role::ALL
                    .into_iter()
                    .filter(|one| wanted.contains(&one.as_str()))
                    .any(|one| role.covers(one));
                let (status, kind) = ask(&router, role, method, &at).await;
                let refused = kind == "urn:bailiwick:role";
                assert_eq!(refused, !lets, "{role} at {method} {path}: {status} {kind}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
            match value {
                Value::Object(object) => {
                    for (key, value) in object {
                        match value.as_str() {
                            Some(to) if key == "$ref" => drop(found.insert(to)),
                            _ => references(value, found),
                        }
                    }
                }
                Value::Array(array) => array.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 10);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
