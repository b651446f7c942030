//! The reviewer: judges a change against its instruction. Used sparingly, where no check can be executed; what it says
//! is an opinion, never evidence.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::program::{Instruction, Requirement};
use serde_json::json;

use super::words;
use crate::client::Finish;
use crate::templates::{TemplateError, Templates};

/// Most reasons that are kept.
const REASONS_MAX: usize = 8;

/// All that a reviewer is told.
#[derive(Clone, Copy, Debug)]
pub struct ReviewerView<'a> {
    /// What was asked for.
    pub instruction: &'a Instruction,
    /// The program's requirements.
    pub requirements: &'a [Requirement],
    /// A unified diff.
    pub diff: &'a str,
}

/// A reviewer's opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Whether the change does what it should.
    pub accepted: bool,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

/// The reviewer's prompt.
pub fn fragments(
    view: &ReviewerView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let about = json!({
        "text": view.instruction.text.trim(),
        "requirements": words::requirements(view.requirements, Some(&view.instruction.covers)),
        "diff": view.diff.trim_end(),
        "fence": words::fence(view.diff),
    });
    [
        (FragmentKind::System, "prompts/reviewer/system.md", "how a reviewer judges"),
        (FragmentKind::Step, "prompts/reviewer/step.md", "what is to be judged"),
    ]
    .into_iter()
    .map(|(kind, name, reason)| {
        Ok(Fragment::new(kind, name, reason, templates.render(name, &about)?, counter))
    })
    .collect()
}

/// A grammar for the reviewer's reply.
pub fn grammar() -> String {
    format!(
        "start: \"VERDICT: \" (\"accept\" | \"reject\") \"\\n\" reason{{1,{REASONS_MAX}}}\n\
         reason: \"REASON: \" TEXT \"\\n\"\n\
         TEXT: /[^ \\r\\n][^\\r\\n]{{0,400}}/\n"
    )
}

/// The opinion in a reply, or what is wrong with it. A reply without a clear verdict is no verdict.
pub fn understand(text: &str, finish: Finish) -> Result<Opinion, String> {
    let value = |line: &str, key: &str| {
        let line = line.trim().trim_start_matches(['*', '#', '-', ' ']);
        let (name, value) = line.split_once(':')?;
        let matches = name.trim_matches('*').trim().eq_ignore_ascii_case(key);
        matches.then(|| value.trim_matches(['*', ' ']).to_owned())
    };
    let verdicts: Vec<_> = text
        .lines()
        .filter_map(|l| value(l, "verdict"))
        .map(|v| v.to_lowercase().trim_end_matches('.').to_owned())
        .collect();
    let accepted = match verdicts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["accept" | "accepted"] if finish == Finish::Stop => true,
        ["reject" | "rejected"] => false,
        _ => return Err("Begin your reply with one line VERDICT: accept or VERDICT: reject.".to_owned()),
    };
    let reasons: Vec<_> =
        text.lines().filter_map(|l| value(l, "reason")).filter(|r| !r.is_empty()).take(REASONS_MAX).collect();
    if reasons.is_empty() && !accepted {
        return Err("Say what is wrong in a line REASON: with one sentence.".to_owned());
    }
    Ok(Opinion { accepted, reasons })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opinions() {
        let read = |text: &str| understand(text, Finish::Stop);
        let accepted = read("VERDICT: accept\nREASON: It does it.\n").unwrap();
        assert!(accepted.accepted && accepted.reasons == ["It does it."]);
        let rejected =
            read("**Verdict:** Reject.\n- Reason: a.py has no main.\nReason: no tests.\n").unwrap();
        assert!(!rejected.accepted && rejected.reasons.len() == 2);
        assert!(read("VERDICT: accept\nVERDICT: reject\nREASON: x\n").is_err(), "two verdicts are none");
        assert!(read("VERDICT: reject\n").is_err(), "a rejection says why");
        assert!(read("Looks good to me!").is_err());
        assert!(understand("VERDICT: accept\nREASON: so", Finish::Length).is_err(), "cut before its end");
    }
}
