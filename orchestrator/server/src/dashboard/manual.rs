//! The API's description for people: a page made of the document that programs read.

use std::sync::Arc;

use axum::Extension;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use super::pages::{Page, html};
use super::trouble::Trouble;

/// Methods in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// Where the document keeps its schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// The page.
#[derive(Serialize)]
struct Manual {
    version: String,
    /// Paragraphs.
    about: Vec<String>,
    sections: Vec<Section>,
    schemas: Vec<SchemaEntry>,
}

/// The operations of a tag.
#[derive(Serialize)]
struct Section {
    name: String,
    about: String,
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: Vec<String>,
    parameters: Vec<Field>,
    /// What the body is.
    body: Option<Vec<Word>>,
    answers: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    status: String,
    about: String,
    media: String,
    kind: Vec<Word>,
}

/// A named schema.
#[derive(Serialize)]
struct SchemaEntry {
    name: String,
    about: Vec<String>,
    /// What it is, where it is no object.
    kind: Vec<Word>,
    fields: Vec<Field>,
}

/// A parameter, or a field of an object.
#[derive(Serialize)]
struct Field {
    name: String,
    /// `path`, `query` or `header`; empty for a field.
    place: String,
    is_required: bool,
    kind: Vec<Word>,
    about: String,
}

/// A piece of a type: words, or the name of a schema that stands below.
#[derive(Debug, PartialEq, Serialize)]
struct Word {
    text: String,
    is_schema: bool,
}

pub(super) async fn page(Extension(description): Extension<Arc<OpenApi>>) -> Page {
    let document = serde_json::to_value(&*description).map_err(Trouble::machine)?;
    html("api.html", &Manual::of(&document))
}

impl Manual {
    fn of(document: &Value) -> Self {
        let tags = document["tags"].as_array().into_iter().flatten();
        Self {
            version: text(&document["info"]["version"]),
            about: paragraphs(&document["info"]["description"]),
            sections: tags.map(|tag| Section::of(document, tag)).collect(),
            schemas: entries(&document["components"]["schemas"])
                .map(|(name, schema)| SchemaEntry::of(name, schema))
                .collect(),
        }
    }
}

impl Section {
    fn of(document: &Value, tag: &Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in entries(&document["paths"]) {
            for method in METHODS {
                let operation = &item[method];
                let tags = operation["tags"].as_array();
                if tags.is_some_and(|tags| tags.contains(&tag["name"])) {
                    operations.push(Operation::of(method, path, operation));
                }
            }
        }
        Self { name: text(&tag["name"]), about: text(&tag["description"]), operations }
    }
}

impl Operation {
    fn of(method: &str, path: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let body = media(&operation["requestBody"]).map(|(_, schema)| words(schema));
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            about: paragraphs(&operation["description"]),
            parameters: parameters
                .map(|parameter| Field {
                    name: text(&parameter["name"]),
                    place: text(&parameter["in"]),
                    is_required: parameter["required"] == true,
                    kind: words(&parameter["schema"]),
                    about: text(&parameter["description"]),
                })
                .collect(),
            body,
            answers: entries(&operation["responses"])
                .map(|(status, answer)| {
                    let (media, kind) = match media(answer) {
                        Some((media, schema)) => (media.to_owned(), words(schema)),
                        None => (String::new(), Vec::new()),
                    };
                    Answer { status: status.to_owned(), about: text(&answer["description"]), media, kind }
                })
                .collect(),
        }
    }
}

impl SchemaEntry {
    fn of(name: &str, schema: &Value) -> Self {
        let fields = fields(schema);
        Self {
            name: name.to_owned(),
            about: paragraphs(&schema["description"]),
            kind: if fields.is_empty() { words(schema) } else { Vec::new() },
            fields,
        }
    }
}

/// The fields of an object, those that it shares with another schema as one line.
fn fields(schema: &Value) -> Vec<Field> {
    let mut all = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if part.get("$ref").is_some() {
            let about = "has all fields of".to_owned();
            all.push(Field {
                name: String::new(),
                place: String::new(),
                is_required: true,
                kind: words(part),
                about,
            });
        } else {
            all.extend(fields(part));
        }
    }
    let required = schema["required"].as_array();
    all.extend(entries(&schema["properties"]).map(|(name, property)| Field {
        name: name.to_owned(),
        place: String::new(),
        is_required: required.is_some_and(|required| required.iter().any(|r| r == name)),
        kind: words(property),
        about: text(&property["description"]),
    }));
    all
}

/// A type in words: `list of` and the name of what it has.
fn words(schema: &Value) -> Vec<Word> {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.strip_prefix(SCHEMAS)) {
        return vec![Word { text: name.to_owned(), is_schema: true }];
    }
    for (key, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema[key].as_array() {
            return joined(parts.iter().map(words), between);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let all = values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        return vec![plain(&all.collect::<Vec<_>>().join(" or "))];
    }
    match &schema["type"] {
        Value::Array(types) => joined(types.iter().map(|one| kind(one, schema)), " or "),
        one => kind(one, schema),
    }
}

fn kind(one: &Value, schema: &Value) -> Vec<Word> {
    match one.as_str() {
        Some("array") => [plain("list of ")].into_iter().chain(words(&schema["items"])).collect(),
        Some("object") if schema["properties"].is_object() => {
            let between = entries(&schema["properties"]).map(|(name, property)| {
                [plain(&format!("{name}: "))].into_iter().chain(words(property)).collect()
            });
            let inner = joined(between, ", ");
            [plain("{ ")].into_iter().chain(inner).chain([plain(" }")]).collect()
        }
        Some(name) => vec![plain(name)],
        None => vec![plain("anything")],
    }
}

fn joined(parts: impl Iterator<Item = Vec<Word>>, between: &str) -> Vec<Word> {
    let mut all = Vec::new();
    for part in parts {
        if !all.is_empty() {
            all.push(plain(between));
        }
        all.extend(part);
    }
    all
}

fn plain(text: &str) -> Word {
    Word { text: text.to_owned(), is_schema: false }
}

/// The first kind of content of a body, and its schema.
fn media(body: &Value) -> Option<(&str, &Value)> {
    let (media, content) = body["content"].as_object()?.iter().next()?;
    Some((media, &content["schema"]))
}

fn entries(of: &Value) -> impl Iterator<Item = (&str, &Value)> {
    of.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Texts of the document are Markdown of the simplest kind: paragraphs, and lists of one line each.
fn paragraphs(value: &Value) -> Vec<String> {
    let text = value.as_str().unwrap_or_default();
    let parts = text.split("\n\n").flat_map(|part| part.split("\n- "));
    parts.map(|part| part.trim_start_matches("- ").to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(schema: &Value) -> String {
        words(schema).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn types_are_told_in_words() {
        let step = json!({ "$ref": "#/components/schemas/StepRow" });
        assert_eq!(words(&step), [Word { text: "StepRow".into(), is_schema: true }]);
        assert_eq!(said(&json!({ "type": "array", "items": step })), "list of StepRow");
        assert_eq!(said(&json!({ "type": ["string", "null"] })), "string or null");
        assert_eq!(said(&json!({ "oneOf": [{ "type": "null" }, step] })), "null or StepRow");
        assert_eq!(said(&json!({ "type": "string", "enum": ["undo", "fork"] })), "undo or fork");
        let object = json!({ "type": "object", "properties": { "event": { "enum": ["live"] } } });
        assert_eq!(said(&object), "{ event: live }");
        assert_eq!(said(&json!({})), "anything");
    }

    #[test]
    fn fields_that_are_shared_stand_once() {
        let schema = json!({ "allOf": [
            { "$ref": "#/components/schemas/RunRow" },
            { "type": "object", "required": ["seq"], "properties": {
                "seq": { "type": "integer" }, "question": { "type": ["string", "null"], "description": "What it asks." },
            } },
        ] });
        let fields = fields(&schema);
        let names: Vec<_> = fields.iter().map(|field| (field.name.as_str(), field.is_required)).collect();
        assert_eq!(names, [("", true), ("question", false), ("seq", true)]);
        assert_eq!(fields[0].kind[0].text, "RunRow");
    }
}
