//! A request as it is asked, checked, and turned into what the model is asked.

use async_openai::types::chat::{CreateChatCompletionRequest, ResponseFormat, StopConfiguration};
use edvac_agents::client::{ClientInfo, ModelRequest, Sampling};
use serde::Deserialize;
use serde_json::Value;

use super::super::typed;
use super::tools::{Choice, Tools};
use super::{bind, conversation};
use crate::refusal::Refusal;

/// Most stop texts, as with OpenAI.
const STOPS_MAX: usize = 4;
/// Longest stop text: all of it is held back while it may be coming.
const STOP_BYTES_MAX: usize = 256;
/// OpenAI's default, and its most.
const TEMPERATURE: (f32, f32) = (1.0, 2.0);

/// What is asked, and how it is answered.
#[derive(Debug)]
pub(super) struct Ask {
    pub request: ModelRequest,
    pub shape: Shape,
}

/// How a reply is said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Piece by piece.
    pub stream: bool,
    /// Whether a stream ends with its usage.
    pub include_usage: bool,
    /// Names of the tools that the reply may call.
    pub tools: Vec<String>,
}

/// What is not OpenAI's.
#[derive(Debug, Default, Deserialize)]
struct Extensions {
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    dry_multiplier: Option<f32>,
}

/// Reads and checks a request.
pub(super) fn read(mut body: Value, info: &ClientInfo) -> Result<Ask, Refusal> {
    let own = ["top_k", "min_p", "repetition_penalty", "dry_multiplier"];
    let extensions: Extensions =
        typed(own.iter().filter_map(|key| Some(((*key).to_owned(), body.get(key)?.clone()))).collect())?;
    // A `response_format` that OpenAI's types do not know.
    let grammar = take_grammar(&mut body)?;
    let mut request: CreateChatCompletionRequest = typed(body)?;
    if request.model != info.model {
        return Err(Refusal::model(&request.model, &info.model));
    }
    refuse_unsupported(&request)?;
    let tools = Tools::read(
        request.tools.take().unwrap_or_default(),
        request.tool_choice.take(),
        request.parallel_tool_calls.unwrap_or(false),
    )?;
    let grammar = match grammar {
        Some(grammar) => Some(own_grammar(grammar, &tools)?),
        None => bound(request.response_format.take(), &tools)?,
    };
    if grammar.is_some() && !info.grammar {
        return Err(Refusal::unsupported(
            "response_format",
            "This model cannot be bound to a format or a tool: leave response_format out, and tool_choice at auto.",
        ));
    }
    let messages = conversation::messages(&request.messages, tools.text().as_deref())?;
    let shape = Shape {
        stream: request.stream.unwrap_or(false),
        include_usage: request.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
        tools: tools.names(),
    };
    let request = ModelRequest {
        messages,
        tokens_max: tokens_max(&request, info)?,
        sampling: sampling(&request, &extensions)?,
        grammar,
        stop: stops(request.stop)?,
        tools: false,
        called: Vec::new(),
        loop_rewinds_max: 0,
        sentences_once: false,
    };
    Ok(Ask { request, shape })
}

fn take_grammar(body: &mut Value) -> Result<Option<String>, Refusal> {
    let Some(format) = body.get_mut("response_format").filter(|f| f["type"] == "grammar") else {
        return Ok(None);
    };
    match format.take()["grammar"].take() {
        Value::String(grammar) => Ok(Some(grammar)),
        _ => Err(Refusal::value(
            "response_format.grammar",
            "A response_format of type grammar has the grammar (Lark, in llguidance's dialect) as a text in `grammar`.",
        )),
    }
}

fn own_grammar(grammar: String, tools: &Tools) -> Result<String, Refusal> {
    if tools.choice() != &Choice::None {
        let message = "A grammar of your own and tools do not go together: put the calls into the grammar.";
        return Err(Refusal::unsupported("response_format", message));
    }
    bind::check(&grammar).map_err(|why| Refusal::schema("response_format.grammar", &why))?;
    Ok(grammar)
}

/// The grammar of a reply that must be JSON, or must call a tool; none where it may be anything.
fn bound(format: Option<ResponseFormat>, tools: &Tools) -> Result<Option<String>, Refusal> {
    let schema = match format {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject) => Some(serde_json::json!({ "type": "object" })),
        Some(ResponseFormat::JsonSchema { json_schema }) => Some(json_schema.schema),
    };
    if let Some(schema) = &schema {
        let alone = bind::grammar(Some(schema), None);
        alone
            .and_then(|grammar| bind::check(&grammar))
            .map_err(|why| Refusal::schema("response_format.json_schema.schema", &why))?;
    }
    let calls = match (tools.choice(), &schema) {
        (Choice::None | Choice::Auto, None) => return Ok(None),
        (Choice::None, Some(_)) => None,
        (Choice::Auto | Choice::Required | Choice::Named(_), _) => Some(tools.calls()),
    };
    // Whoever must call a tool writes nothing else, so only then is the format of an answer of no use.
    let answer = schema.as_ref().filter(|_| matches!(tools.choice(), Choice::None | Choice::Auto));
    let grammar = bind::grammar(answer, calls.as_ref())
        .and_then(|grammar| bind::check(&grammar).map(|()| grammar))
        .map_err(|why| Refusal::schema("tools", &why))?;
    Ok(Some(grammar))
}

#[expect(deprecated, reason = "clients still send the older names, and are told about the newer ones")]
fn refuse_unsupported(request: &CreateChatCompletionRequest) -> Result<(), Refusal> {
    let not_zero = |value: Option<f32>| value.is_some_and(|v| v != 0.0);
    let one_only = "Only one reply is made a request; ask again for another.";
    let penalty = "Only 0 is taken here; repetition_penalty (1 is off) does what is usually wanted.";
    let functions = "Functions are called tools now: use tools and tool_choice.";
    let text_only = "This model reads and writes text alone.";
    let logprobs = "Probabilities are not reported here.";
    let refused = [
        ("n", request.n.is_some_and(|n| n != 1), one_only),
        ("frequency_penalty", not_zero(request.frequency_penalty), penalty),
        ("presence_penalty", not_zero(request.presence_penalty), penalty),
        ("functions", request.functions.is_some(), functions),
        ("function_call", request.function_call.is_some(), functions),
        ("logprobs", request.logprobs == Some(true), logprobs),
        ("top_logprobs", request.top_logprobs.is_some_and(|n| n > 0), logprobs),
        (
            "logit_bias",
            request.logit_bias.as_ref().is_some_and(|b| !b.is_empty()),
            "Tokens cannot be favoured one by one here; a grammar can forbid them.",
        ),
        ("audio", request.audio.is_some(), text_only),
        (
            "modalities",
            request
                .modalities
                .as_ref()
                .is_some_and(|m| m.iter().any(|m| *m != async_openai::types::chat::ResponseModalities::Text)),
            text_only,
        ),
        ("web_search_options", request.web_search_options.is_some(), "This model cannot search the web."),
    ];
    match refused.iter().find(|(_, refused, _)| *refused) {
        Some((name, _, why)) => Err(Refusal::unsupported(*name, format!("{name}: {why}"))),
        None => Ok(()),
    }
}

#[expect(deprecated, reason = "the older name of max_completion_tokens is the one most clients send")]
fn tokens_max(request: &CreateChatCompletionRequest, info: &ClientInfo) -> Result<u32, Refusal> {
    let window = u32::try_from(info.window_tokens).unwrap_or(u32::MAX);
    match request.max_completion_tokens.or(request.max_tokens) {
        None => Ok(window),
        Some(0) => Err(Refusal::value("max_completion_tokens", "A reply has at least one token.")),
        Some(tokens) => Ok(tokens.min(window)),
    }
}

#[expect(deprecated, reason = "seed is deprecated by OpenAI and does here what it always did")]
fn sampling(request: &CreateChatCompletionRequest, extensions: &Extensions) -> Result<Sampling, Refusal> {
    let within = |name: &str, value: Option<f32>, default: f32, min: f32, max: f32| {
        let value = value.unwrap_or(default);
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(Refusal::value(name, format!("{name} is {value}; it may be {min} to {max}.")))
    };
    let (temperature, temperature_max) = TEMPERATURE;
    Ok(Sampling {
        temperature: within("temperature", request.temperature, temperature, 0.0, temperature_max)?,
        top_k: extensions.top_k.unwrap_or(0),
        top_p: within("top_p", request.top_p, 1.0, 0.0, 1.0)?,
        min_p: within("min_p", extensions.min_p, 0.0, 0.0, 1.0)?,
        repetition_penalty: within("repetition_penalty", extensions.repetition_penalty, 1.0, 0.1, 10.0)?,
        dry_multiplier: within("dry_multiplier", extensions.dry_multiplier, 0.0, 0.0, 10.0)?,
        // The same request with the same seed gets the same reply; without one it gets another every time.
        seed: request.seed.map_or_else(rand::random, i64::cast_unsigned),
    })
}

fn stops(stop: Option<StopConfiguration>) -> Result<Vec<String>, Refusal> {
    let stops = match stop {
        None => Vec::new(),
        Some(StopConfiguration::String(text)) => vec![text],
        Some(StopConfiguration::StringArray(texts)) => texts,
    };
    if stops.len() > STOPS_MAX {
        return Err(Refusal::value(
            "stop",
            format!("stop has {} texts; up to {STOPS_MAX} are taken.", stops.len()),
        ));
    }
    if stops.iter().any(|s| s.is_empty() || s.len() > STOP_BYTES_MAX) {
        let message = format!("A stop text has 1 to {STOP_BYTES_MAX} bytes.");
        return Err(Refusal::value("stop", message));
    }
    Ok(stops)
}
