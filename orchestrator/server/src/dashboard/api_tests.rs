//! The API's description says everything that there is, and what cannot be understood is answered in one shape.

use std::collections::BTreeSet;

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, Method, StatusCode};
use serde_json::Value;

use super::testing::{Board, asked, board};
use crate::testing::{TOKEN, read, send};

const JSON: (HeaderName, &str) = (CONTENT_TYPE, "application/json");

fn description() -> Value {
    serde_json::from_str(&crate::openapi(8765).unwrap()).unwrap()
}

/// Every operation of the description: its method, its path and itself.
fn operations(description: &Value) -> Vec<(Method, String, Value)> {
    let paths = description["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| {
            (method.to_uppercase().parse().unwrap(), path.clone(), operation.clone())
        })
    });
    all.collect()
}

/// The addresses for programs, with their methods.
pub fn declared() -> Vec<(Method, String)> {
    let all = operations(&description()).into_iter().map(|(method, path, _)| (method, path));
    all.filter(|(_, path)| path.starts_with("/api/")).collect()
}

#[test]
fn no_address_for_programs_is_declared_but_by_its_description() {
    let source = include_str!("mod.rs");
    let undescribed: Vec<_> =
        source.split(".route(\"").skip(1).filter(|rest| rest.starts_with("/api/")).collect();
    assert_eq!(undescribed, Vec::<&str>::new(), "declare it with `routes!` in `api`");
    assert!(declared().len() > 15, "{:?}", declared());
    let paths: Vec<_> = operations(&description()).into_iter().map(|(_, path, _)| path).collect();
    assert!(["/healthz", "/metrics"].iter().all(|own| paths.iter().any(|path| path == own)), "{paths:?}");
}

#[test]
fn every_operation_says_what_it_is() {
    let description = description();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let tags: BTreeSet<_> = description["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .map(Value::to_string)
        .collect();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&description) {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|said| said.ends_with('.')), "{id}: {operation}");
        let own = operation["tags"].as_array().unwrap();
        assert!(own.len() == 1 && tags.contains(&own[0].to_string()), "{id}: {own:?}");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let told: Vec<_> = parameters
            .map(|parameter| {
                assert!(
                    parameter["description"].as_str().is_some_and(|said| !said.is_empty()),
                    "{id}: {parameter}"
                );
                (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap())
            })
            .collect();
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(told.contains(&("path", part)), "{id}: {part} is not told: {told:?}");
        }
        let changes = matches!(method, Method::POST | Method::PUT);
        assert_eq!(operation["requestBody"].is_object(), changes, "{id}");
        let refused = &operation["responses"]["401"]["content"]["application/json"]["schema"]["$ref"];
        assert!(path == "/healthz" || refused == "#/components/schemas/Problem", "{id}: {operation}");
    }
}

#[test]
fn every_answer_says_its_version() {
    let description = description();
    let mut answers = 0;
    for (_, path, operation) in operations(&description) {
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let Some(name) = schema["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/schemas/"))
        else {
            assert!(schema.is_null() || path == "/api/openapi.json", "{path}: {schema}");
            continue;
        };
        let required = description["components"]["schemas"][name]["required"].as_array().unwrap();
        assert!(required.contains(&"schema_version".into()), "{name}: {required:?}");
        answers += 1;
    }
    assert!(answers > 12, "{answers}");
}

#[test]
fn every_field_says_what_it_is_or_has_a_type_that_does() {
    let description = description();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let is_told = |value: &Value| value["description"].as_str().is_some_and(|said| !said.is_empty());
    let by_type = |value: &Value| {
        let name = value["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/schemas/"));
        name.is_some_and(|name| is_told(&schemas[name]))
    };
    for (name, schema) in schemas {
        assert!(is_told(schema) || schema["allOf"].is_array(), "{name}");
        let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
        for (field, property) in parts.filter_map(|part| part["properties"].as_object()).flatten() {
            let forms = property["oneOf"].as_array().into_iter().flatten();
            let told = [property].into_iter().chain(forms).any(is_told);
            assert!(told || by_type(property) || by_type(&property["items"]), "{name}.{field}: {property}");
        }
    }
}

/// A request with its headers and body, and the status and code that it is answered with.
type Case<'a> = (Method, String, &'a [(HeaderName, &'a str)], &'a str, u16, &'a str);

async fn answered(
    board: &Board,
    method: Method,
    address: &str,
    more: &[(HeaderName, &str)],
    body: &str,
) -> (StatusCode, String, String) {
    let bearer = format!("Bearer {TOKEN}");
    let mut headers = vec![(AUTHORIZATION, bearer.as_str())];
    headers.extend_from_slice(more);
    let response = send(&board.server, asked(method, address, &headers, body)).await;
    let media = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let (status, text) = read(response).await;
    (status, media, text)
}

#[tokio::test]
async fn what_cannot_be_understood_has_the_shape_of_all_errors() {
    let board = board().await;
    let run = format!("/api/runs/{}", board.run);
    let undo = format!("{run}/undo");
    let plan = format!("{run}/plan");
    let cases: [Case; 14] = [
        (Method::GET, format!("{run}/steps/one"), &[], "", 404, "not_found"),
        (Method::GET, format!("{run}/prompts/-1"), &[], "", 404, "not_found"),
        (Method::GET, "/api/runs/%ff".to_owned(), &[], "", 404, "not_found"),
        (Method::GET, format!("{run}/diff?step=one"), &[], "", 400, "invalid_request"),
        (Method::GET, format!("{run}/replay?entry=-1"), &[], "", 400, "invalid_request"),
        (Method::GET, format!("{run}/plan?from=a"), &[], "", 400, "invalid_request"),
        (Method::GET, format!("{run}/raw"), &[], "", 400, "invalid_request"),
        (Method::GET, format!("{run}/events?after=x"), &[], "", 400, "invalid_request"),
        (Method::POST, format!("{run}/fly"), &[JSON], "{}", 404, "not_found"),
        (Method::POST, undo.clone(), &[JSON], "no JSON", 400, "invalid_request"),
        (Method::POST, undo.clone(), &[JSON], "{\"setp\": 1}", 422, "invalid_body"),
        (Method::POST, undo, &[], "{}", 415, "unsupported_media_type"),
        (Method::PUT, plan, &[JSON], "{\"toml\": 1}", 422, "invalid_body"),
        (Method::DELETE, run, &[], "", 405, "method_not_allowed"),
    ];
    for (method, address, headers, body, status, code) in cases {
        let got = answered(&board, method.clone(), &address, headers, body).await;
        assert_eq!(
            (got.0.as_u16(), got.1.as_str()),
            (status, "application/json"),
            "{method} {address}: {}",
            got.2
        );
        let error: Value = serde_json::from_str(&got.2).unwrap();
        assert_eq!(error["error"]["code"], code, "{method} {address}: {error}");
        assert!(error["error"]["message"].as_str().is_some_and(|said| said.len() > 10), "{error}");
        let keys: BTreeSet<_> = error["error"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["code", "message", "param", "type"]));
    }
    let (_, _, unknown) =
        answered(&board, Method::POST, &format!("/api/runs/{}/fly", board.run), &[JSON], "{}").await;
    assert!(unknown.contains("fly") && unknown.contains("pause") && unknown.contains("fork"), "{unknown}");
}

#[tokio::test]
async fn pages_say_it_to_people() {
    let board = board().await;
    let run = format!("/runs/{}", board.run);
    let browser = [(ACCEPT, "text/html")];
    for (address, status) in [
        (format!("{run}/steps/one"), 404),
        (format!("{run}/prompts/x"), 404),
        (format!("{run}?steps=x"), 400),
        (format!("{run}/diff?step=%3Cb%3E"), 400),
        (format!("{run}/replay?entry=x"), 400),
        ("/runs/%ff".to_owned(), 404),
        ("/assets/%ff".to_owned(), 404),
    ] {
        let got = answered(&board, Method::GET, &address, &browser, "").await;
        assert_eq!(
            (got.0.as_u16(), got.1.as_str()),
            (status, "text/html; charset=utf-8"),
            "{address}: {}",
            got.2
        );
        assert!(got.2.contains("role=\"alert\""), "{address}: {}", got.2);
    }
    let form = (CONTENT_TYPE, "text/plain");
    let got = answered(&board, Method::POST, "/login", &[form], "token=x").await;
    assert_eq!((got.0.as_u16(), got.1.as_str()), (415, "text/html; charset=utf-8"), "{}", got.2);
}

#[tokio::test]
async fn the_description_is_served_as_it_is_printed() {
    let board = board().await;
    let (status, media, text) = answered(&board, Method::GET, "/api/openapi.json", &[], "").await;
    assert_eq!((status, media.as_str()), (StatusCode::OK, "application/json"));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), description());
    let (status, _, page) = answered(&board, Method::GET, "/api", &[], "").await;
    assert_eq!(status, StatusCode::OK);
    for (method, path, operation) in operations(&description()) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("<section class=\"panel\" id=\"{id}\"")), "{id} is not on the page");
        assert!(
            page.contains(&format!("<code>{method} {path}</code>")),
            "{method} {path} is not on the page"
        );
    }
    // Every link on the page leads somewhere on it.
    for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
}
