//! Tools of other programs, as a worker is told of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool that may be called by `@@ call`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name, with that of its server: `files.read`.
    pub name: String,
    /// What it does, in the words of its server.
    pub about: String,
    /// JSON Schema of its arguments, an object.
    pub schema: Value,
    /// Whether calling it twice does what calling it once does, as its server says: what only looks, and what is the same again.
    pub repeatable: bool,
}

/// Names that are shown of a choice.
const CHOICES_MAX: usize = 12;
/// Objects within objects that are shown; what lies deeper is called an object.
const DEPTH_MAX: usize = 3;

impl ToolSpec {
    /// The arguments as a line: `{"path": string, "head"?: integer}`. A third of the tokens of the schema, and small models fill it
    /// in where they copy the schema.
    pub fn arguments(&self) -> String {
        shape(&self.schema, DEPTH_MAX)
    }
}

fn shape(schema: &Value, depth: usize) -> String {
    if let Some(choices) = schema["enum"].as_array() {
        let shown: Vec<_> = choices.iter().take(CHOICES_MAX).map(Value::to_string).collect();
        let more = if choices.len() > CHOICES_MAX { "|…" } else { "" };
        return shown.join("|") + more;
    }
    if let Some(one) = schema.get("const") {
        return one.to_string();
    }
    if let Some(ways) = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array()) {
        let mut shapes: Vec<_> = ways.iter().take(CHOICES_MAX).map(|way| shape(way, depth)).collect();
        shapes.dedup();
        return shapes.join("|");
    }
    let kind = match &schema["type"] {
        Value::String(kind) => kind.as_str(),
        Value::Array(kinds) => {
            let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
            return kinds.join("|");
        }
        _ if schema["properties"].is_object() => "object",
        _ => "any",
    };
    match (kind, schema["properties"].as_object()) {
        ("object", Some(properties)) if depth > 0 => {
            let required = schema["required"].as_array();
            let is_required =
                |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
            let one = |(name, schema): (&String, &Value)| {
                let mark = if is_required(name) { "" } else { "?" };
                format!("{}{mark}: {}", Value::from(name.as_str()), shape(schema, depth - 1))
            };
            format!("{{{}}}", properties.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        ("array", _) => format!("[{}]", shape(&schema["items"], depth.saturating_sub(1))),
        (kind, _) => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_shown_in_a_line() {
        let shown = |schema| {
            ToolSpec { name: String::new(), about: String::new(), schema, repeatable: true }.arguments()
        };
        for (schema, expected) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": ["integer", "null"]}), "integer|null"),
            (json!({"enum": ["name", "size"]}), r#""name"|"size""#),
            (json!({"const": 3}), "3"),
            (
                json!({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}}),
                "[string|number]",
            ),
            (
                json!({"properties": {"b": {"properties": {"c": {"type": "object", "properties": {}}}}}}),
                r#"{"b"?: {"c"?: object}}"#,
            ),
        ] {
            let of = json!({"type": "object", "properties": {"a": schema}, "required": ["a"]});
            assert_eq!(shown(of), format!(r#"{{"a": {expected}}}"#));
        }
        assert_eq!(
            shown(json!({"type": "object", "properties": {"a": {"type": "string"}}})),
            r#"{"a"?: string}"#
        );
        assert_eq!(shown(json!({"type": "object"})), "object");
        assert_eq!(shown(json!({"type": "object", "properties": {}})), "{}");
        assert_eq!(shown(json!(null)), "any");
    }
}
