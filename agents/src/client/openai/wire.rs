//! What goes over the wire. Only what is needed is read of a reply: endpoints differ in all the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::OpenAiOptions;
use crate::client::{Finish, ModelReply, ModelRequest, Speaker, Usage, estimate};
use crate::protocol::native;

/// Parameters that are left out once an endpoint refuses them, the least needed first. `max_tokens` is not left out but
/// sent under its newer name.
pub(super) const DROPPABLE: [&str; 9] = [
    "dry_multiplier",
    "repetition_penalty",
    "min_p",
    "top_k",
    "seed",
    "stream_options",
    "max_tokens",
    "temperature",
    "tools",
];

/// The words by which an endpoint refuses a parameter.
pub(super) fn complaint(name: &str) -> &str {
    if name == "max_tokens" { "max_completion_tokens" } else { name }
}

/// Most tool calls of one reply, so that a hostile index cannot make us keep any number.
const CALLS_MAX: usize = 64;

/// The body of a request.
pub(super) fn body(
    request: &ModelRequest,
    options: &OpenAiOptions,
    unwanted: &BTreeSet<&'static str>,
) -> Value {
    let messages: Vec<_> =
        request.messages.iter().map(|m| json!({ "role": role(m.speaker), "content": m.text })).collect();
    let sampling = &request.sampling;
    let grammar = request.grammar.as_ref().filter(|_| options.grammar);
    // A grammar has the blocks in it: beside it, tools would be a second way to say the same.
    let tools = request.tools && options.native_tools && grammar.is_none();
    let mut optional: Vec<(&str, Value, bool)> = vec![
        ("max_tokens", json!(request.tokens_max), true),
        ("temperature", number(sampling.temperature), true),
        ("stream_options", json!({ "include_usage": true }), true),
        // Of 64 bits with a sign, as the API has it: a larger number is refused, and then left out.
        ("seed", json!(sampling.seed.cast_signed()), sampling.temperature > 0.0),
        ("top_p", number(sampling.top_p), sampling.top_p < 1.0),
        ("top_k", json!(sampling.top_k), sampling.top_k > 0),
        ("min_p", number(sampling.min_p), sampling.min_p > 0.0),
        (
            "repetition_penalty",
            number(sampling.repetition_penalty),
            (sampling.repetition_penalty - 1.0).abs() > 1e-6,
        ),
        ("dry_multiplier", number(sampling.dry_multiplier), sampling.dry_multiplier > 0.0),
        ("stop", json!(request.stop), !request.stop.is_empty()),
        ("response_format", json!({ "type": "grammar", "grammar": grammar }), grammar.is_some()),
        ("tools", Value::Array(native::tools(true, &request.called)), tools),
    ];
    optional.retain(|(name, _, wanted)| *wanted && !unwanted.contains(name));
    let mut body = Map::from_iter([
        ("model".to_owned(), json!(options.model)),
        ("messages".to_owned(), Value::Array(messages)),
        ("stream".to_owned(), json!(true)),
    ]);
    body.extend(optional.into_iter().map(|(name, value, _)| (name.to_owned(), value)));
    if unwanted.contains("max_tokens") {
        body.insert("max_completion_tokens".to_owned(), json!(request.tokens_max));
    }
    Value::Object(body)
}

/// A float as a person would write it: 0.7, not 0.699999988079071.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |v| json!(v))
}

fn role(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::System => "system",
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
    }
}

/// What `edvac serve` says about a model in its list.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Abilities {
    #[serde(default)]
    pub(super) grammar: bool,
    #[serde(default = "unlimited")]
    pub(super) window_tokens: usize,
}

fn unlimited() -> usize {
    usize::MAX
}

/// What a list of models says about one, where it says something.
pub(super) fn abilities(listing: &str, model: &str) -> Option<Abilities> {
    let listing: Value = serde_json::from_str(listing).ok()?;
    let entry = listing["data"].as_array()?.iter().find(|entry| entry["id"] == model)?;
    Abilities::deserialize(&entry["edvac"]).ok()
}

/// One event of a stream, or a whole answer: they differ in `delta` and `message` alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Counts>,
    model: Option<String>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    #[serde(alias = "message")]
    delta: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    content: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Call {
    index: Option<usize>,
    function: Option<Function>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

/// A reply as far as it came.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    text: String,
    calls: BTreeMap<usize, (String, String)>,
    pieces: usize,
    finish: Option<String>,
    counts: Option<Counts>,
    model: Option<String>,
}

impl Gathered {
    /// Whether any of it was seen outside.
    pub(super) fn has_text(&self) -> bool {
        self.pieces > 0
    }

    /// Tokens so far: endpoints send about one a piece.
    pub(super) fn tokens(&self) -> usize {
        self.pieces
    }

    /// Adds an event; gives the text in it.
    pub(super) fn add(&mut self, chunk: Chunk) -> Option<String> {
        self.counts = chunk.usage.or(self.counts);
        self.model = self.model.take().or(chunk.model);
        let choice = chunk.choices?.into_iter().next()?;
        self.finish = choice.finish_reason.or(self.finish.take());
        let said = choice.delta?;
        for (position, call) in said.tool_calls.into_iter().flatten().enumerate() {
            let index = call.index.unwrap_or(position);
            let Some(function) = call.function.filter(|_| index < CALLS_MAX) else { continue };
            let (name, arguments) = self.calls.entry(index).or_default();
            name.push_str(&function.name.unwrap_or_default());
            arguments.push_str(&function.arguments.unwrap_or_default());
        }
        let text = said.content.filter(|t| !t.is_empty())?;
        self.text.push_str(&text);
        self.pieces += 1;
        Some(text)
    }

    /// The reply, or why it is none.
    pub(super) fn finish(&self, request: &ModelRequest, model: &str) -> Result<ModelReply, &'static str> {
        let finish = match self.finish.as_deref() {
            Some("length") => Finish::Length,
            Some("content_filter") => Finish::ContentFilter,
            Some(_) => Finish::Stop,
            None => return Err("the reply broke off"),
        };
        let mut text = self.text.clone();
        for (name, arguments) in self.calls.values() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&native::to_text(name, arguments));
        }
        let usage = match self.counts {
            Some(counts) => Usage {
                prompt_tokens: counts.prompt_tokens,
                reused_tokens: counts.prompt_tokens_details.and_then(|d| d.cached_tokens).unwrap_or(0),
                completion_tokens: counts.completion_tokens,
                ..Usage::default()
            },
            None => Usage {
                prompt_tokens: request.messages.iter().map(|m| estimate::tokens(&m.text) as u64).sum(),
                completion_tokens: estimate::tokens(&text) as u64,
                estimated: true,
                ..Usage::default()
            },
        };
        Ok(ModelReply { text, finish, usage, model: self.model.clone().unwrap_or_else(|| model.to_owned()) })
    }
}
