//! The grammar of a reply that is bound to JSON or to tools, in llguidance's Lark dialect.

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use toktrie::ApproximateTokEnv;

use super::tools::{CLOSE, Calls, OPEN};

/// Most characters of a complaint about a grammar; it can quote all of it.
const WHY_CHARS_MAX: usize = 400;
/// Most levels of a schema that are looked into.
const DEPTH_MAX: usize = 32;

/// A grammar of replies that are JSON of a schema, or tool calls, or either.
pub(super) fn grammar(answer: Option<&Value>, calls: Option<&Calls>) -> Result<String, String> {
    let start: Vec<&str> = [("calls", calls.is_some()), ("answer", answer.is_some())]
        .iter()
        .filter(|s| s.1)
        .map(|s| s.0)
        .collect();
    let mut out = format!("start: {}\n", start.join(" | "));
    if let Some(schema) = answer {
        let _ = writeln!(out, "answer: %json {}", shaped(schema)?);
    }
    if let Some(Calls { tools, calls_max }) = calls {
        let more =
            if *calls_max > 1 { format!(" (\"\\n\" call){{0,{}}}", calls_max - 1) } else { String::new() };
        let each: Vec<_> = (0..tools.len()).map(|n| format!("call_{n}")).collect();
        let _ = writeln!(out, "calls: call{more}");
        let _ = writeln!(out, "call: \"{OPEN}\\n\" ({}) \"\\n{CLOSE}\"", each.join(" | "));
        for (n, (name, schema)) in tools.iter().enumerate() {
            let schema = shaped(schema).map_err(|why| format!("the parameters of {name}: {why}"))?;
            // The names have no character that would end the text.
            let _ = writeln!(
                out,
                "call_{n}: \"{{\\\"name\\\": \\\"{name}\\\", \\\"arguments\\\": \" args_{n} \"}}\"\nargs_{n}: %json {schema}"
            );
        }
    }
    Ok(out)
}

/// Whether a grammar is one. The engine compiles it again for its own tokens; what is wrong with it is the same there,
/// but is known here before the request waits for its turn.
pub(super) fn check(grammar: &str) -> Result<(), String> {
    let why =
        |error: &dyn std::fmt::Display| -> String { error.to_string().chars().take(WHY_CHARS_MAX).collect() };
    let env = ApproximateTokEnv::single_byte_env();
    let mut factory = ParserFactory::new_simple(&env).map_err(|e| why(&e))?;
    factory.quiet();
    factory.limits_mut().verbose_errors = false;
    let parser =
        factory.create_parser(TopLevelGrammar::from_lark(grammar.to_owned())).map_err(|e| why(&e))?;
    let mut matcher = Matcher::new(Ok(parser));
    matcher.compute_mask().map_err(|e| why(&e))?;
    Ok(())
}

/// A schema as the engine is given it. JSON is written as Python does, without white space elsewhere: a small model
/// that may write white space without end does. For the same reason objects have no properties beyond those listed,
/// unless the schema says that they have.
fn shaped(schema: &Value) -> Result<Value, String> {
    let Value::Object(schema) = schema else {
        return Err(format!("a JSON schema is an object, not {schema}"));
    };
    let mut schema = schema.clone();
    // What is joined from several schemas would allow nothing once each of them is closed.
    if !mentions(&schema, "allOf", DEPTH_MAX) {
        close(&mut schema, DEPTH_MAX);
    }
    let options = json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
    schema.entry("x-guidance").or_insert(options);
    Ok(Value::Object(schema))
}

fn mentions(schema: &Map<String, Value>, key: &str, depth: usize) -> bool {
    fn within(value: &Value, key: &str, depth: usize) -> bool {
        match value {
            // Deeper than anyone writes by hand: better not to touch it.
            _ if depth == 0 => true,
            Value::Object(map) => mentions(map, key, depth - 1),
            Value::Array(items) => items.iter().any(|item| within(item, key, depth - 1)),
            _ => false,
        }
    }
    schema.contains_key(key) || schema.values().any(|value| within(value, key, depth))
}

fn close(schema: &mut Map<String, Value>, depth: usize) {
    if depth == 0 {
        return;
    }
    let open = ["additionalProperties", "patternProperties", "unevaluatedProperties"];
    if schema.contains_key("properties") && !open.iter().any(|key| schema.contains_key(*key)) {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for key in ["properties", "$defs", "definitions"] {
        for value in schema.get_mut(key).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
        {
            value.as_object_mut().into_iter().for_each(|inner| close(inner, depth - 1));
        }
    }
    if let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) {
        close(items, depth - 1);
    }
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
