//! The summariser: sums up a long attempt, so that a fresh one can begin where it ended.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::program::Instruction;
use serde_json::json;

use crate::client::Finish;
use crate::templates::{TemplateError, Templates};

/// Most words that are kept of a summary.
pub const WORDS_MAX: usize = 120;
/// Lines kept of one reply or answer at its beginning, and as many at its end.
const TURN_LINES_MAX: usize = 12;
/// Most characters of one line.
const LINE_CHARS_MAX: usize = 200;

/// All that a summariser is told.
#[derive(Clone, Debug)]
pub struct SummariserView<'a> {
    /// What was tried.
    pub instruction: &'a Instruction,
    /// The summary that the attempt began with.
    pub earlier: Option<&'a str>,
    /// Replies and the answers to them, in order; the last answer may be missing.
    pub turns: &'a [(&'a str, Option<&'a str>)],
    /// Most tokens the transcript may have; the oldest turns go first.
    pub tokens_max: usize,
}

/// The summariser's prompt.
pub fn fragments(
    view: &SummariserView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let about = json!({
        "title": view.instruction.title,
        "text": view.instruction.text.trim(),
        "transcript": transcript(view, counter),
    });
    [
        (FragmentKind::System, "prompts/summariser/system.md", "how a summary is written"),
        (FragmentKind::Step, "prompts/summariser/step.md", "what is to be summed up"),
    ]
    .into_iter()
    .map(|(kind, name, reason)| {
        Ok(Fragment::new(kind, name, reason, templates.render(name, &about)?, counter))
    })
    .collect()
}

/// The conversation as text. Long turns lose their middle and, where the whole is too long, the oldest turns go; both
/// is said in the text.
fn transcript(view: &SummariserView<'_>, counter: &dyn TokenCounter) -> String {
    let mut parts: Vec<String> = view
        .turns
        .iter()
        .zip(1..)
        .map(|((reply, answer), number)| {
            let answer = answer.map(|a| format!("\n\nAnswer {number}:\n{}", shorten(a))).unwrap_or_default();
            format!("Reply {number}:\n{}{answer}", shorten(reply))
        })
        .collect();
    if let Some(earlier) = view.earlier {
        parts.insert(0, format!("Summary of what came before:\n{}", earlier.trim()));
    }
    let keep = usize::from(view.earlier.is_some());
    let mut dropped = 0;
    // Ends because each round removes one part.
    while parts.len() > keep + 1 && counter.count(&parts.join("\n\n")) > view.tokens_max {
        parts.remove(keep);
        dropped += 1;
    }
    if dropped > 0 {
        parts.insert(keep, format!("({dropped} older replies are left out)"));
    }
    parts.join("\n\n")
}

fn shorten(text: &str) -> String {
    let lines: Vec<String> = text.trim().lines().map(|l| l.chars().take(LINE_CHARS_MAX).collect()).collect();
    if lines.len() <= 2 * TURN_LINES_MAX {
        return lines.join("\n");
    }
    let left_out = lines.len() - 2 * TURN_LINES_MAX;
    let (head, tail) = (&lines[..TURN_LINES_MAX], &lines[lines.len() - TURN_LINES_MAX..]);
    format!("{}\n({left_out} lines left out)\n{}", head.join("\n"), tail.join("\n"))
}

/// A grammar for the summariser's reply.
pub fn grammar() -> String {
    "start: \"FOUND: \" TEXT \"\\nFAILED: \" TEXT \"\\nNEXT: \" TEXT \"\\n\"\nTEXT: /[^ \\r\\n][^\\r\\n]{0,500}/\n".to_owned()
}

/// The summary in a reply: at most [`WORDS_MAX`] words, also of a reply that was cut. `None` when it says nothing.
pub fn understand(text: &str, finish: Finish) -> Option<String> {
    if finish == Finish::ContentFilter {
        return None;
    }
    let mut words = 0;
    let mut out = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("```")) {
        let kept: Vec<_> = line.split_whitespace().take(WORDS_MAX - words).collect();
        words += kept.len();
        if kept.is_empty() {
            break;
        }
        out.push(kept.join(" "));
    }
    (!out.is_empty()).then(|| out.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_bounded() {
        let long = "word ".repeat(500);
        let summary = understand(&format!("FOUND: {long}\nNEXT: x"), Finish::Length).unwrap();
        assert_eq!(summary.split_whitespace().count(), WORDS_MAX);
        assert_eq!(understand(" \n```\n", Finish::Stop), None);
    }

    #[test]
    fn long_turns_lose_their_middle() {
        let text: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        let short = shorten(&text.join("\n"));
        assert!(
            short.starts_with("0\n1\n") && short.ends_with("98\n99") && short.contains("(76 lines left out)")
        );
    }
}
