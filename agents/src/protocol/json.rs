//! Tool calls that a model wrote as JSON into its text, because its endpoint offers no native ones or it does not use them.
//!
//! They are put into the block protocol's text, as native calls are, so that everything behind knows one form only.

use serde_json::{Value, json};

use super::native;

/// Values of JSON that are looked for in one reply.
const VALUES_MAX: usize = 64;
/// Names of what holds several calls.
const LISTS: [&str; 3] = ["tool_calls", "actions", "calls"];
/// Names of what says which tool is meant.
const NAMES: [&str; 4] = ["name", "tool", "action", "function"];
/// Names of what holds a call's arguments.
const ARGUMENTS: [&str; 4] = ["arguments", "parameters", "args", "input"];

/// The reply with its calls as blocks; none where it has no call of a tool that is known.
pub fn as_blocks(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut found = false;
    let mut rest = text;
    for _ in 0..VALUES_MAX {
        let Some(start) = rest.find(['{', '[']) else { break };
        let mut values = serde_json::Deserializer::from_str(&rest[start..]).into_iter::<Value>();
        let value = values.next().and_then(Result::ok);
        let calls = value.as_ref().map(calls).unwrap_or_default();
        if calls.is_empty() {
            // What is JSON and no call is data, whatever is in it. Behind a bracket that begins no JSON a call may begin.
            let end = start + if value.is_some() { values.byte_offset() } else { 1 };
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        found = true;
        out.push_str(without_marks(&rest[..start]).trim_end());
        out.push('\n');
        calls.iter().for_each(|call| out.push_str(call));
        rest = &rest[start + values.byte_offset()..];
    }
    out.push_str(&without_marks(rest));
    found.then_some(out)
}

/// The calls that a value is, as blocks.
fn calls(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => {
            let all: Vec<_> = items.iter().map(calls).collect();
            // A list in which anything is no call is data.
            if all.iter().all(|calls| !calls.is_empty()) { all.concat() } else { Vec::new() }
        }
        Value::Object(object) => match LISTS.iter().find_map(|name| object.get(*name)) {
            Some(list) => calls(list),
            None => one(value).into_iter().collect(),
        },
        _ => Vec::new(),
    }
}

fn one(value: &Value) -> Option<String> {
    let of = |names: &[&str]| names.iter().find_map(|name| value.get(*name));
    let named = of(&NAMES)?;
    // OpenAI's form: `{"function": {"name": …, "arguments": …}}`.
    if named.is_object() {
        return one(named);
    }
    let name = named.as_str()?;
    if let Some(arguments) = of(&ARGUMENTS).filter(|arguments| arguments.is_object() && is_of_other(name)) {
        return Some(native::to_text(
            native::CALL,
            &json!({ "tool": name, "arguments": arguments }).to_string(),
        ));
    }
    if !native::is_tool(name) {
        return None;
    }
    let arguments = match of(&ARGUMENTS) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        // `{"tool": "read", "path": …}`: the arguments stand beside the name.
        None => value.to_string(),
    };
    Some(native::to_text(name, &arguments))
}

/// Whether a name is one of a tool of another program, with its server's.
fn is_of_other(name: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
    };
    name.split_once('.').is_some_and(|(server, tool)| is_name(server) && is_name(tool))
}

/// Text between calls without the fences and tags that models put around them.
fn without_marks(text: &str) -> String {
    let is_mark = |line: &str| {
        let line = line.trim();
        line.starts_with("```") || matches!(line, "<tool_call>" | "</tool_call>")
    };
    text.split_inclusive('\n').filter(|line| !is_mark(line)).collect()
}
