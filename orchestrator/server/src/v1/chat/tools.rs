//! Tools as Qwen2.5's own chat template tells them to the model: one JSON line each, and a call between tags.
//!
//! Other models get the same text. It is what most small ones have seen in training, and under a grammar any can do it.

use async_openai::types::chat::{
    ChatCompletionToolChoiceOption, ChatCompletionTools, FunctionObject, ToolChoiceOptions,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// Begins a call in a reply.
pub(super) const OPEN: &str = "<tool_call>";
/// Ends it.
pub(super) const CLOSE: &str = "</tool_call>";
/// Most tools of a request, as with OpenAI.
const TOOLS_MAX: usize = 128;
/// Most characters of a tool's name, as with OpenAI.
const NAME_CHARS_MAX: usize = 64;
/// Most calls of one reply that must call.
const CALLS_MAX: usize = 8;

/// Whether tools are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// No.
    None,
    /// As the model likes.
    Auto,
    /// At least one.
    Required,
    /// This one, once.
    Named(String),
}

/// The tools of a request.
#[derive(Debug)]
pub(super) struct Tools {
    all: Vec<FunctionObject>,
    choice: Choice,
    several: bool,
}

/// The calls that a grammar allows.
#[derive(Debug)]
pub(super) struct Calls {
    /// Names with the schemas of their arguments.
    pub tools: Vec<(String, Value)>,
    /// Most of them.
    pub calls_max: usize,
}

impl Tools {
    /// Checks what was asked for. `several` calls in one reply are forced only where the client asked for them: a small
    /// model that may go on calling does.
    pub fn read(
        tools: Vec<ChatCompletionTools>,
        choice: Option<ChatCompletionToolChoiceOption>,
        several: bool,
    ) -> Result<Self, Refusal> {
        if tools.len() > TOOLS_MAX {
            let message = format!("There are {} tools; up to {TOOLS_MAX} are taken.", tools.len());
            return Err(Refusal::value("tools", message));
        }
        let mut all: Vec<FunctionObject> = Vec::with_capacity(tools.len());
        for (n, tool) in tools.into_iter().enumerate() {
            let ChatCompletionTools::Function(tool) = tool else {
                let message = "Only tools of type function are known here.";
                return Err(Refusal::unsupported(format!("tools[{n}].type"), message));
            };
            let name = &tool.function.name;
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(fits) {
                let message = format!(
                    "A tool's name has 1 to {NAME_CHARS_MAX} letters, digits, underscores and dashes."
                );
                return Err(Refusal::value(format!("tools[{n}].function.name"), message));
            }
            if all.iter().any(|t| t.name == *name) {
                let message = format!("There are two tools called {name}.");
                return Err(Refusal::value(format!("tools[{n}].function.name"), message));
            }
            all.push(FunctionObject { strict: None, ..tool.function });
        }
        let given = choice.is_some();
        let choice = match choice {
            None if all.is_empty() => Choice::None,
            None => Choice::Auto,
            Some(ChatCompletionToolChoiceOption::Mode(mode)) => match mode {
                ToolChoiceOptions::None => Choice::None,
                ToolChoiceOptions::Auto => Choice::Auto,
                ToolChoiceOptions::Required => Choice::Required,
            },
            Some(ChatCompletionToolChoiceOption::Function(named)) => Choice::Named(named.function.name),
            Some(_) => {
                let message = "tool_choice is none, auto, required, or {\"type\": \"function\", \"function\": {\"name\": …}}.";
                return Err(Refusal::unsupported("tool_choice", message));
            }
        };
        if given && all.is_empty() && choice != Choice::None {
            return Err(Refusal::value("tool_choice", "There are no tools to choose from."));
        }
        if let Choice::Named(name) = &choice
            && !all.iter().any(|t| t.name == *name)
        {
            return Err(Refusal::value("tool_choice", format!("There is no tool called {name}.")));
        }
        Ok(Self { all, choice, several })
    }

    /// Whether they are called.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// What the reply may call.
    pub fn names(&self) -> Vec<String> {
        if self.choice == Choice::None {
            return Vec::new();
        }
        self.all.iter().map(|t| t.name.clone()).collect()
    }

    /// What the model is told; nothing where it may not call.
    pub fn text(&self) -> Option<String> {
        if self.choice == Choice::None {
            return None;
        }
        let mut text = "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n\
             You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
            .to_owned();
        for tool in &self.all {
            text.push_str(&spaced(&json!({ "type": "function", "function": tool })));
            text.push('\n');
        }
        text.push_str(
            "</tools>\n\nFor each function call, return a json object with function name and arguments within \
             <tool_call></tool_call> XML tags:\n<tool_call>\n\
             {\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>",
        );
        Some(text)
    }

    /// The calls that the choice allows.
    pub fn calls(&self) -> Calls {
        let chosen = |tool: &&FunctionObject| match &self.choice {
            Choice::Named(name) => tool.name == *name,
            _ => true,
        };
        let nothing = || json!({ "type": "object", "properties": {}, "additionalProperties": false });
        let schema = |tool: &FunctionObject| tool.parameters.clone().unwrap_or_else(nothing);
        let calls_max = if self.several && self.choice == Choice::Required { CALLS_MAX } else { 1 };
        let tools = self.all.iter().filter(chosen).map(|t| (t.name.clone(), schema(t))).collect();
        Calls { tools, calls_max }
    }
}

/// A call as the model writes it.
pub(super) fn call_text(name: &str, arguments: &str) -> String {
    // As the model wrote it, so that the tokens are the same and need not be computed again.
    let arguments = match serde_json::from_str::<Value>(arguments) {
        Ok(value) => spaced(&value),
        Err(_) => spaced(&Value::String(arguments.to_owned())),
    };
    format!("{OPEN}\n{{\"name\": {}, \"arguments\": {arguments}}}\n{CLOSE}", spaced(&json!(name)))
}

/// JSON as Python writes it, with a space after `,` and `:`: what models have seen most.
pub(super) fn spaced(value: &Value) -> String {
    let mut out = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut out, Spaced);
    if value.serialize(&mut writer).is_err() {
        return value.to_string();
    }
    String::from_utf8(out).unwrap_or_else(|_| value.to_string())
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: std::io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: std::io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.begin_array_value(writer, first)
    }

    fn begin_object_value<W: std::io::Write + ?Sized>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}
