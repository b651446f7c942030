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
    about: Vec<Vec<Word>>,
    sections: Vec<Section>,
    schemas: Vec<SchemaEntry>,
}

/// The operations of a tag.
#[derive(Serialize)]
struct Section {
    name: String,
    about: Vec<Word>,
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: Vec<Word>,
    about: Vec<Vec<Word>>,
    parameters: Vec<Field>,
    /// What the body is.
    body: Option<Vec<Word>>,
    answers: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    status: String,
    about: Vec<Word>,
    media: String,
    kind: Vec<Word>,
}

/// A named schema.
#[derive(Serialize)]
struct SchemaEntry {
    name: String,
    about: Vec<Vec<Word>>,
    /// What it is, where it is no object.
    kind: Vec<Word>,
    fields: Vec<Field>,
}

/// A parameter, a field of an object, or one of the forms that something has.
#[derive(Default, Serialize)]
struct Field {
    /// Empty for a form.
    name: String,
    /// `path`, `query` or `header`; empty for a field.
    place: String,
    is_required: bool,
    kind: Vec<Word>,
    about: Vec<Word>,
}

/// A piece of a sentence or of a type.
#[derive(Debug, PartialEq, Serialize)]
struct Word {
    text: String,
    /// Whether it is the name of a schema that stands below.
    is_schema: bool,
    is_code: bool,
}

pub(super) async fn page(Extension(description): Extension<Arc<OpenApi>>) -> Page {
    let document = serde_json::to_value(&*description).map_err(Trouble::machine)?;
    html("api.html", &Manual::of(&document))
}

impl Manual {
    fn of(document: &Value) -> Self {
        let tags = document["tags"].as_array().into_iter().flatten();
        let schemas = &document["components"]["schemas"];
        Self {
            version: text(&document["info"]["version"]),
            about: paragraphs(&document["info"]["description"]),
            sections: tags.map(|tag| Section::of(document, tag)).collect(),
            schemas: entries(schemas).map(|(name, schema)| SchemaEntry::of(name, schema, schemas)).collect(),
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
        Self { name: text(&tag["name"]), about: sentence(&tag["description"]), operations }
    }
}

impl Operation {
    fn of(method: &str, path: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: sentence(&operation["summary"]),
            about: paragraphs(&operation["description"]),
            parameters: parameters.map(Field::of_parameter).collect(),
            body: media(&operation["requestBody"]).map(|(_, schema)| words(schema)),
            answers: entries(&operation["responses"])
                .map(|(status, answer)| Answer::of(status, answer))
                .collect(),
        }
    }
}

impl Answer {
    fn of(status: &str, answer: &Value) -> Self {
        let (media, kind) = match media(answer) {
            Some((media, schema)) => (media.to_owned(), words(schema)),
            None => (String::new(), Vec::new()),
        };
        Self { status: status.to_owned(), about: sentence(&answer["description"]), media, kind }
    }
}

impl SchemaEntry {
    fn of(name: &str, schema: &Value, schemas: &Value) -> Self {
        let fields = fields(schema, schemas);
        Self {
            name: name.to_owned(),
            about: paragraphs(&schema["description"]),
            kind: if fields.is_empty() { words(schema) } else { Vec::new() },
            fields,
        }
    }
}

impl Field {
    fn of_parameter(parameter: &Value) -> Self {
        Self {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            is_required: parameter["required"] == true,
            kind: words(&parameter["schema"]),
            about: sentence(&parameter["description"]),
        }
    }
}

/// The fields of an object, those that it shares with another schema as one line; the forms of what has several.
fn fields(schema: &Value, schemas: &Value) -> Vec<Field> {
    let mut all = Vec::new();
    for form in schema["oneOf"].as_array().into_iter().flatten() {
        let about = sentence(&form["description"]);
        all.push(Field { is_required: true, kind: words(form), about, ..Field::default() });
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if part.get("$ref").is_some() {
            let about = vec![plain("All fields of that.")];
            all.push(Field { is_required: true, kind: words(part), about, ..Field::default() });
        } else {
            all.extend(fields(part, schemas));
        }
    }
    let required = schema["required"].as_array();
    all.extend(entries(&schema["properties"]).map(|(name, property)| Field {
        name: name.to_owned(),
        is_required: required.is_some_and(|required| required.iter().any(|r| r == name)),
        kind: words(property),
        about: sentence(meaning(property, schemas)),
        ..Field::default()
    }));
    all
}

/// What a field means: its own words, or those of what it is.
fn meaning<'a>(property: &'a Value, schemas: &'a Value) -> &'a Value {
    let forms = property["oneOf"].as_array().into_iter().flatten();
    let own =
        [property].into_iter().chain(forms).map(|form| &form["description"]).find(|said| said.is_string());
    let name = property["$ref"].as_str().or_else(|| property["items"]["$ref"].as_str());
    own.unwrap_or_else(
        || &schemas[name.and_then(|to| to.strip_prefix(SCHEMAS)).unwrap_or_default()]["description"],
    )
}

/// A type in words: `list of` and the name of what it has.
fn words(schema: &Value) -> Vec<Word> {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.strip_prefix(SCHEMAS)) {
        return vec![Word { text: name.to_owned(), is_schema: true, is_code: false }];
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
    Word { text: text.to_owned(), is_schema: false, is_code: false }
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

/// Texts of the document are Markdown of the simplest kind: paragraphs, and lists.
fn paragraphs(value: &Value) -> Vec<Vec<Word>> {
    let text = value.as_str().unwrap_or_default();
    let parts =
        text.split("\n\n").flat_map(|part| part.split("\n- ")).map(|part| part.trim_start_matches("- "));
    parts.filter(|part| !part.is_empty()).map(marked).collect()
}

fn sentence(value: &Value) -> Vec<Word> {
    marked(value.as_str().unwrap_or_default())
}

/// A text whose code stands in backticks.
fn marked(text: &str) -> Vec<Word> {
    let pieces = text.split('`').zip([false, true].into_iter().cycle());
    let words = pieces.map(|(piece, is_code)| Word { text: piece.to_owned(), is_schema: false, is_code });
    words.filter(|word| !word.text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn said(schema: &Value) -> String {
        words(schema).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn types_are_told_in_words() {
        let step = json!({ "$ref": "#/components/schemas/StepRow" });
        assert_eq!(words(&step), [Word { text: "StepRow".into(), is_schema: true, is_code: false }]);
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
        let fields = fields(&schema, &json!({}));
        let names: BTreeSet<_> =
            fields.iter().map(|field| (field.name.as_str(), field.is_required)).collect();
        assert_eq!(names, BTreeSet::from([("", true), ("question", false), ("seq", true)]));
        assert_eq!(fields[0].kind[0].text, "RunRow");
    }

    #[test]
    fn code_stands_in_backticks() {
        let words = marked("`undo` takes back, `fork`");
        let told: Vec<_> = words.iter().map(|word| (word.text.as_str(), word.is_code)).collect();
        assert_eq!(told, [("undo", true), (" takes back, ", false), ("fork", true)]);
        assert_eq!(paragraphs(&json!("one\n\n- two\n- three")).len(), 3);
    }
}
