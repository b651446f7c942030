//! What a stream says: each message is an event of a browser's `EventSource`, and its data is JSON.

use axum::response::sse::Event;
use edvac_memory::journal::Seq;
use edvac_orchestrator::live::Partial;
use serde::Serialize;
use utoipa::ToSchema;

use super::watched::LogLine;

/// One message of a run's stream: `event` is its event line, `data` its data line. A `record` has its `seq` as its id, too.
#[derive(Serialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "kebab-case")]
#[schema(as = StreamMessage)]
pub(super) enum Message {
    /// The stream begins.
    Hello(Nothing),
    /// Something was recorded: a line of the run's log.
    Record(LogLine),
    /// A part of the run's page looks otherwise by now.
    Part(Part),
    /// A model writes, or has ended.
    Live(Live),
    /// Everything that was missed was said; what follows happens now.
    CaughtUp(CaughtUp),
    /// Too much was missed to be said: the run has to be asked for again.
    Reload(Nothing),
    /// The run is not there any more.
    Gone(Nothing),
}

/// The message says all.
#[derive(Serialize, ToSchema)]
pub(super) struct Nothing {}

/// A part of the run's page.
#[derive(Serialize, ToSchema)]
#[schema(as = PagePart)]
pub(super) struct Part {
    /// Its name: `head`, `meters`, `requirements`, `timeline`, `version`, or `step-` and a number.
    name: String,
    /// How it looks now.
    html: String,
}

/// What a model writes.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Live {
    /// More of a reply.
    Text(LiveText),
    /// The reply has ended; what became of it is recorded.
    Gone(LiveGone),
}

/// More of a reply that is being written.
#[derive(Serialize, ToSchema)]
pub(super) struct LiveText {
    /// The conversation's name.
    of: String,
    /// The same in words.
    about: String,
    /// What was written since the last such message, or all of it.
    text: String,
    /// Whether it is all of it.
    whole: bool,
    /// How much of the reply comes before it, in UTF-16 code units as browsers count them, so that a piece which is heard twice, or
    /// after another was missed, is known.
    after: usize,
    /// Tokens written so far.
    tokens: usize,
    /// Tokens of the prompt that were read so far.
    prompt_done: usize,
    /// Tokens of the prompt.
    prompt_total: usize,
}

/// A reply that has ended.
#[derive(Serialize, ToSchema)]
pub(super) struct LiveGone {
    /// The conversation's name.
    of: String,
    /// Always true.
    gone: bool,
}

/// How far the stream has come.
#[derive(Serialize, ToSchema)]
pub(super) struct CaughtUp {
    /// The last record.
    #[schema(value_type = u64)]
    seq: Seq,
}

impl Message {
    pub fn part(name: &str, html: &str) -> Self {
        Self::Part(Part { name: name.to_owned(), html: html.to_owned() })
    }

    /// A piece of a reply behind so much of it, or all of it so far.
    pub fn live(of: &str, partial: &Partial, text: &str, after: Option<usize>) -> Self {
        Self::Live(Live::Text(LiveText {
            of: of.to_owned(),
            about: partial.about.clone(),
            text: text.to_owned(),
            whole: after.is_none(),
            after: after.unwrap_or(0),
            tokens: partial.tokens,
            prompt_done: partial.prompt_done,
            prompt_total: partial.prompt_total,
        }))
    }

    pub fn gone(of: &str) -> Self {
        Self::Live(Live::Gone(LiveGone { of: of.to_owned(), gone: true }))
    }

    pub fn caught_up(seq: Seq) -> Self {
        Self::CaughtUp(CaughtUp { seq })
    }
}

impl From<Message> for Event {
    fn from(message: Message) -> Self {
        // No type of this file can fail to be JSON.
        let said = serde_json::to_value(&message).unwrap_or_default();
        let event =
            Self::default().event(said["event"].as_str().unwrap_or_default()).data(said["data"].to_string());
        match message {
            Message::Record(line) => event.id(line.seq.to_string()),
            _ => event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_its_event_and_its_data() {
        let said = |message: Message| serde_json::to_string(&message).unwrap();
        assert_eq!(said(Message::caught_up(7)), r#"{"event":"caught-up","data":{"seq":7}}"#);
        assert_eq!(said(Message::Reload(Nothing {})), r#"{"event":"reload","data":{}}"#);
        assert_eq!(said(Message::gone("plan")), r#"{"event":"live","data":{"of":"plan","gone":true}}"#);
    }
}
