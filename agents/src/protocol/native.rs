//! The same verbs as native tool calls, for endpoints that offer them.
//!
//! A call is put back into the block protocol's text at once, so that everything behind the client (transcripts,
//! journal, understanding) knows one form only.

use serde_json::{Map, Value, json};

use super::blocks::quote_line;

/// One tool: name, what it does, and its parameters as (name, JSON type, meaning, required).
struct Tool {
    name: &'static str,
    about: &'static str,
    parameters: &'static [(&'static str, &'static str, &'static str, bool)],
}

const PATH: (&str, &str, &str, bool) = ("path", "string", "Relative path, like src/name.py", true);

const TOOLS: [Tool; 10] = [
    Tool {
        name: "write",
        about: "Create a file or replace all of it.",
        parameters: &[PATH, ("content", "string", "The whole file", true)],
    },
    Tool {
        name: "append",
        about: "Put text behind the end of a file.",
        parameters: &[PATH, ("content", "string", "What comes behind", true)],
    },
    Tool {
        name: "edit",
        about: "Replace lines of a file. The old lines must occur in it exactly once.",
        parameters: &[
            PATH,
            ("search", "string", "The old lines, exactly as they are in the file", true),
            ("replace", "string", "The new lines; empty to remove the old ones", true),
        ],
    },
    Tool { name: "delete", about: "Remove a file.", parameters: &[PATH] },
    Tool {
        name: "read",
        about: "Show a file or some of its lines. The answer comes in the next message.",
        parameters: &[
            PATH,
            ("first", "integer", "First line, from 1", false),
            ("last", "integer", "Last line", false),
        ],
    },
    Tool {
        name: "search",
        about: "Search the project. The answer comes in the next message.",
        parameters: &[("query", "string", "Words to look for", true)],
    },
    Tool {
        name: "run",
        about: "Run a command without network. Its output comes in the next message.",
        parameters: &[("command", "string", "A shell command line", true)],
    },
    Tool {
        name: "note",
        about: "A thought for yourself.",
        parameters: &[("text", "string", "One line", true)],
    },
    Tool {
        name: "done",
        about: "Say that the step is finished.",
        parameters: &[("summary", "string", "One sentence on what is there now", true)],
    },
    Tool {
        name: CALL,
        about: "Call a tool of another program, as described. Its answer comes in the next message.",
        parameters: &[
            ("tool", "string", "Its name, like files.read", true),
            ("arguments", "object", "Its arguments", true),
        ],
    },
];

/// The tool that calls tools of other programs.
pub(super) const CALL: &str = "call";

/// The tools in the shape of OpenAI's `tools` parameter; `run` only where commands can be run, `call` only where there are tools
/// of other programs, which it names.
pub fn tools(run: bool, called: &[String]) -> Vec<Value> {
    let is_offered = |tool: &&Tool| match tool.name {
        "run" => run,
        CALL => !called.is_empty(),
        _ => true,
    };
    let mut all: Vec<_> = TOOLS.iter().filter(is_offered).map(schema).collect();
    if let Some(call) = all.last_mut().filter(|_| !called.is_empty()) {
        call["function"]["parameters"]["properties"]["tool"]["enum"] = json!(called);
    }
    all
}

fn schema(tool: &Tool) -> Value {
    let properties: Map<String, Value> = tool
        .parameters
        .iter()
        .map(|(name, kind, about, _)| ((*name).to_owned(), json!({ "type": kind, "description": about })))
        .collect();
    let required: Vec<_> = tool.parameters.iter().filter(|p| p.3).map(|p| p.0).collect();
    json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.about,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            },
        },
    })
}

/// Whether there is a tool of this name.
pub(super) fn is_tool(name: &str) -> bool {
    TOOLS.iter().any(|tool| tool.name == name)
}

/// One call as block text, ending with a line end. What cannot be read becomes a block that says so: the model is
/// told by the same way as about any other mistake.
pub fn to_text(name: &str, arguments: &str) -> String {
    block(name, arguments).unwrap_or_else(|why| {
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        format!("@@ unreadable {name}: {why}\n")
    })
}

fn block(name: &str, arguments: &str) -> Result<String, String> {
    let tool = TOOLS.iter().find(|t| t.name == name).ok_or("there is no such tool.")?;
    let parsed: Value = serde_json::from_str(if arguments.trim().is_empty() { "{}" } else { arguments })
        .map_err(|error| format!("its arguments are not JSON ({error})."))?;
    let text = |key: &str| match parsed.get(key) {
        Some(Value::String(text)) => Ok(text.replace("\r\n", "\n")),
        _ => Err(format!("it needs {key:?} as a string.")),
    };
    let line = |key: &str| text(key).map(|t| t.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(match tool.name {
        "write" | "append" => {
            format!("@@ {name} {}\n{}@@ end\n", line("path")?, body(&text("content")?, false))
        }
        "edit" => format!(
            "@@ edit {}\n<<<<<<< SEARCH\n{}=======\n{}>>>>>>> REPLACE\n@@ end\n",
            line("path")?,
            body(&text("search")?, true),
            body(&text("replace")?, true)
        ),
        "read" => format!("@@ read {}{}\n", line("path")?, range(&parsed)),
        // A command keeps its spaces and lines: a shell reads them.
        "run" => {
            let command = text("command")?;
            match command.trim() {
                one if !one.contains('\n') => format!("@@ run {one}\n"),
                lines => format!("@@ run\n{}@@ end\n", body(lines, false)),
            }
        }
        CALL => {
            let arguments = match parsed.get("arguments") {
                None | Some(Value::Null) => "{}".to_owned(),
                Some(Value::String(text)) => body(text, false).trim_end().to_owned(),
                Some(other) => other.to_string(),
            };
            format!("@@ call {}\n{arguments}\n@@ end\n", line("tool")?)
        }
        verb => format!("@@ {verb} {}\n", line(tool.parameters[0].0)?),
    })
}

fn range(arguments: &Value) -> String {
    let number = |key: &str| arguments.get(key).and_then(Value::as_u64);
    match (number("first"), number("last")) {
        (None, None) => String::new(),
        (first, None) => format!(" {}-{}", first.unwrap_or(1), u32::MAX),
        (first, Some(last)) => format!(" {}-{last}", first.unwrap_or(1)),
    }
}

fn body(text: &str, in_edit: bool) -> String {
    text.lines().map(|l| quote_line(l, in_edit) + "\n").collect()
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
