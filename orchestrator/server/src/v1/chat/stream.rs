//! A reply as OpenAI streams it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use async_openai::types::chat::{
    ChatChoiceStream, ChatCompletionMessageToolCallChunk, ChatCompletionStreamResponseDelta,
    CreateChatCompletionStreamResponse, FinishReason, FunctionCallStream, FunctionType, Role,
};
use axum::response::sse::{Event, KeepAlive, Sse};
use edvac_agents::client::ModelReply;
use futures::Stream;
use futures::stream::unfold;

use super::calls::{Piece, Scanner};
use super::making::{Making, Seen};
use super::reply::{finish_reason, usage};
use super::request::Shape;
use crate::app::{App, KEEP_ALIVE};
use crate::refusal::Refusal;
use crate::v1::{id, now_seconds};

/// What a stream ends with.
const DONE: &str = "[DONE]";

/// The stream; dropping it unmakes the reply.
pub(super) fn stream(
    app: Arc<App>,
    making: Making,
    shape: &Shape,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let chunks = Chunks {
        model: app.client.info().model.clone(),
        id: id("chatcmpl-"),
        created: now_seconds(),
        include_usage: shape.include_usage,
        scanner: Scanner::new(&shape.tools),
        seen: String::new(),
        calls: 0,
        begun: false,
        events: VecDeque::new(),
        over: false,
        app,
    };
    let events = unfold((making, chunks), |(mut making, mut chunks)| async move {
        // Ends when there is something to say, or nothing more will come.
        loop {
            if let Some(event) = chunks.events.pop_front() {
                return Some((Ok(event), (making, chunks)));
            }
            if chunks.over {
                return None;
            }
            match making.next().await {
                Ok(Seen::Prefill) => {}
                Ok(Seen::Text(text)) => chunks.text(&text),
                Ok(Seen::Over(reply)) => match *reply {
                    Ok(reply) => chunks.end(&reply),
                    Err(error) => chunks.fail(&error.into()),
                },
                Err(refusal) => chunks.fail(&refusal),
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// Makes events of what is seen.
struct Chunks {
    app: Arc<App>,
    id: String,
    created: u32,
    model: String,
    include_usage: bool,
    scanner: Scanner,
    /// All text so far.
    seen: String,
    calls: u32,
    begun: bool,
    events: VecDeque<Event>,
    over: bool,
}

impl Chunks {
    /// Says who speaks, with the first thing that is said and not before: whoever measures the time to the first chunk
    /// measures how long the prompt took.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let delta = ChatCompletionStreamResponseDelta {
            role: Some(Role::Assistant),
            content: Some(String::new()),
            ..ChatCompletionStreamResponseDelta::default()
        };
        self.delta(delta, None);
    }

    fn text(&mut self, text: &str) {
        self.begin();
        self.seen.push_str(text);
        let pieces = self.scanner.push(text);
        self.pieces(pieces);
    }

    fn end(&mut self, reply: &ModelReply) {
        self.begin();
        // Not every client shows its reply piece by piece.
        if let Some(rest) = reply.text.strip_prefix(self.seen.as_str()).filter(|rest| !rest.is_empty()) {
            let rest = rest.to_owned();
            self.text(&rest);
        }
        let pieces = self.scanner.finish();
        self.pieces(pieces);
        let reason = finish_reason(reply.finish, self.calls > 0);
        self.delta(ChatCompletionStreamResponseDelta::default(), Some(reason));
        if self.include_usage {
            let mut chunk = self.chunk(Vec::new());
            chunk.usage = Some(usage(&reply.usage));
            self.say(&chunk);
        }
        self.events.push_back(Event::default().data(DONE));
        self.over = true;
    }

    fn fail(&mut self, refusal: &Refusal) {
        self.app.metrics.failed(refusal.code);
        self.say(&refusal.body_json());
        self.over = true;
    }

    fn pieces(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            let delta = match piece {
                Piece::Text(text) => ChatCompletionStreamResponseDelta {
                    content: Some(text),
                    ..ChatCompletionStreamResponseDelta::default()
                },
                Piece::Call { name, arguments } => {
                    let call = ChatCompletionMessageToolCallChunk {
                        index: self.calls,
                        id: Some(id("call_")),
                        r#type: Some(FunctionType::Function),
                        function: Some(FunctionCallStream { name: Some(name), arguments: Some(arguments) }),
                    };
                    self.calls += 1;
                    ChatCompletionStreamResponseDelta {
                        tool_calls: Some(vec![call]),
                        ..ChatCompletionStreamResponseDelta::default()
                    }
                }
            };
            self.delta(delta, None);
        }
    }

    fn delta(&mut self, delta: ChatCompletionStreamResponseDelta, finish_reason: Option<FinishReason>) {
        let choice = ChatChoiceStream { index: 0, delta, finish_reason, logprobs: None };
        let chunk = self.chunk(vec![choice]);
        self.say(&chunk);
    }

    fn chunk(&self, choices: Vec<ChatChoiceStream>) -> CreateChatCompletionStreamResponse {
        CreateChatCompletionStreamResponse {
            id: self.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            created: self.created,
            model: self.model.clone(),
            choices,
            ..CreateChatCompletionStreamResponse::default()
        }
    }

    fn say(&mut self, value: &impl serde::Serialize) {
        match Event::default().json_data(value) {
            Ok(event) => self.events.push_back(event),
            Err(error) => tracing::warn!("a chunk cannot be written: {error}"),
        }
    }
}
