//! From fitted fragments to the messages of a request.
//!
//! Prompts are append-only: the same fragments and one more turn give the same messages and one more. That is what
//! lets a client compute only what is new, so nothing here may look at a later fragment to render an earlier one.

use edvac_memory::context::{Fitted, FragmentKind};

use crate::client::{Message, Speaker};

/// The conversation of a fitted prompt.
///
/// System and domain are the system message; everything up to the step is the first user message; turns follow,
/// alternately the model's and the machine's, beginning with the model's. A request must end with a user message, so
/// turns come in pairs.
pub fn messages(fitted: &Fitted) -> Vec<Message> {
    let mut out = Vec::new();
    push(&mut out, Speaker::System, fitted, |k| {
        matches!(k, FragmentKind::System | FragmentKind::Domain | FragmentKind::Tool)
    });
    push(&mut out, Speaker::User, fitted, |k| {
        !matches!(k, FragmentKind::System | FragmentKind::Domain | FragmentKind::Tool | FragmentKind::Turn)
    });
    let turns = fitted.fragments.iter().filter(|f| f.kind == FragmentKind::Turn);
    for (turn, speaker) in turns.zip([Speaker::Assistant, Speaker::User].into_iter().cycle()) {
        out.push(Message { speaker, text: turn.text.clone() });
    }
    out
}

/// The conversation of a fitted prompt, continued by replies of the model and the machine's answers to them.
pub fn continued<'a>(fitted: &Fitted, turns: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Message> {
    let mut out = messages(fitted);
    for (reply, answer) in turns {
        out.push(Message { speaker: Speaker::Assistant, text: reply.to_owned() });
        out.push(Message { speaker: Speaker::User, text: answer.to_owned() });
    }
    out
}

/// One message of all fragments of some kinds, in the order of their kinds.
fn push(out: &mut Vec<Message>, speaker: Speaker, fitted: &Fitted, wanted: impl Fn(FragmentKind) -> bool) {
    let mut fragments: Vec<_> = fitted.fragments.iter().filter(|f| wanted(f.kind)).collect();
    fragments.sort_by_key(|f| f.kind);
    if !fragments.is_empty() {
        let texts: Vec<_> = fragments.iter().map(|f| f.text.trim_end()).collect();
        out.push(Message { speaker, text: texts.join("\n\n") });
    }
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
