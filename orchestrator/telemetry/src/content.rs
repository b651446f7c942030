//! What was asked and answered, as attributes: messages in the conventions' JSON. Off unless it is asked for.

use edvac_agents::client::{Message, Speaker};
use edvac_agents::prompt;
use edvac_memory::context::Fitted;
use serde_json::{Value, json};

/// Characters of one text. What is longer is cut and says so: it is whole in the journal, and collectors refuse requests of many
/// megabytes.
pub const TEXT_CHARS_MAX: usize = 32 << 10;
/// What a model is told where nothing else is said after its reply.
const GO_ON: &str = "Go on.";

/// A conversation as the journal has it.
pub struct Talk {
    fitted: Fitted,
    turns: Vec<(String, Option<String>)>,
}

impl Talk {
    /// One that begins with a prompt.
    pub fn begin(fitted: &Fitted) -> Self {
        Self { fitted: fitted.clone(), turns: Vec::new() }
    }

    /// The model replied.
    pub fn replied(&mut self, reply: &str) {
        self.turns.push((reply.to_owned(), None));
    }

    /// The machine answered.
    pub fn answered(&mut self, answer: &str) {
        if let Some((_, last)) = self.turns.last_mut() {
            *last = Some(answer.to_owned());
        }
    }

    /// What the next call is told: the rules, and everything else.
    pub fn messages(&self) -> (String, String) {
        let turns =
            self.turns.iter().map(|(reply, answer)| (reply.as_str(), answer.as_deref().unwrap_or(GO_ON)));
        let all = prompt::continued(&self.fitted, turns);
        let (system, rest): (Vec<_>, Vec<_>) = all.iter().partition(|m| m.speaker == Speaker::System);
        let system: Vec<Value> = system.into_iter().map(|message| part(&message.text)).collect();
        let rest: Vec<Value> = rest.into_iter().map(written).collect();
        (json!(system).to_string(), json!(rest).to_string())
    }
}

/// A reply.
pub fn output(text: &str, finish: &str) -> String {
    json!([{ "role": "assistant", "parts": [part(text)], "finish_reason": finish }]).to_string()
}

/// A text, or its beginning and how much more there is.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => text.to_owned(),
        Some((at, _)) => {
            let more = text[at..].chars().count();
            format!("{}\n… and {more} more characters, which the journal has.", &text[..at])
        }
    }
}

fn written(message: &Message) -> Value {
    json!({ "role": json!(message.speaker), "parts": [part(&message.text)] })
}

fn part(text: &str) -> Value {
    json!({ "type": "text", "content": cut(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_says_what_is_missing() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(TEXT_CHARS_MAX + 7);
        assert!(cut(&long).ends_with("and 7 more characters, which the journal has."));
        assert_eq!(cut(&"ä".repeat(TEXT_CHARS_MAX)).chars().count(), TEXT_CHARS_MAX);
    }
}
