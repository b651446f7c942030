//! The reviewer: judges whether a step may give up tests that counted. It is asked only where a program says that a test may
//! go and why; what it says is an opinion, never evidence: it can keep a test's loss from being held against a step, and
//! cannot make anything met.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::program::{Instruction, Requirement};
use serde::{Deserialize, Serialize};
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
    /// The program's requirements, all of them: what is still wanted may be another step's.
    pub requirements: &'a [Requirement],
    /// The tests.
    pub given_up: &'a [GivenUp],
    /// A unified diff of the change.
    pub diff: &'a str,
    /// Most tokens that are shown of it.
    pub diff_tokens_max: usize,
}

/// A test that is gone or asks for less, where its step may give it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Its file.
    pub path: String,
    /// Its name.
    pub test: String,
    /// What has become of it, in one sentence.
    pub said: String,
    /// Why, as the program says.
    pub reason: String,
}

/// A reviewer's opinion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// Whether it agrees.
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
    let diff = beginning(view.diff.trim_end(), view.diff_tokens_max, counter);
    let about = json!({
        "text": view.instruction.text.trim(),
        "requirements": words::requirements(view.requirements, None),
        "given_up": view.given_up,
        "fence": words::fence(&diff),
        "diff": diff,
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

/// As many lines of a text as fit, and how many do not.
fn beginning(text: &str, tokens_max: usize, counter: &dyn TokenCounter) -> String {
    if counter.count(text) <= tokens_max {
        return text.to_owned();
    }
    let lines: Vec<_> = text.lines().collect();
    let fits = |count: &usize| counter.count(&lines[..*count].join("\n")) <= tokens_max;
    // Longer beginnings have more tokens, so the longest that fits is found by halving.
    let kept = (0..=lines.len()).collect::<Vec<_>>().partition_point(fits).saturating_sub(1);
    format!("{}\n({} lines are left out)", lines[..kept].join("\n"), lines.len() - kept)
}

/// A grammar for the reviewer's reply.
pub fn grammar() -> String {
    "start: \"REASON: \" TEXT \"\\nVERDICT: \" (\"accept\" | \"reject\") \"\\n\"\n\
     TEXT: /[^ \\r\\n][^\\r\\n]{0,400}/\n"
        .to_owned()
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
        _ => {
            return Err(
                "Reply with one line REASON: and one line VERDICT: accept or VERDICT: reject.".to_owned()
            );
        }
    };
    let reasons: Vec<_> =
        text.lines().filter_map(|l| value(l, "reason")).filter(|r| !r.is_empty()).take(REASONS_MAX).collect();
    if reasons.is_empty() {
        return Err("Say why in a line REASON: with one sentence, and repeat the verdict.".to_owned());
    }
    Ok(Opinion { accepted, reasons })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opinions() {
        let read = |text: &str| understand(text, Finish::Stop);
        let accepted = read("REASON: R2 wants the opposite.\nVERDICT: accept\n").unwrap();
        assert!(accepted.accepted && accepted.reasons == ["R2 wants the opposite."]);
        let rejected = read("**Verdict:** Reject.\n- Reason: R1 still wants it.\nReason: no.\n").unwrap();
        assert!(!rejected.accepted && rejected.reasons.len() == 2);
        assert!(read("REASON: x\nVERDICT: accept\nVERDICT: reject\n").is_err(), "two verdicts are none");
        assert!(read("VERDICT: reject\n").is_err(), "a rejection says why");
        assert!(read("VERDICT: accept\n").is_err(), "and so does an agreement");
        assert!(read("Looks good to me!").is_err());
        assert!(understand("REASON: so\nVERDICT: accept", Finish::Length).is_err(), "cut before its end");
    }

    #[test]
    fn a_change_is_shown_as_far_as_it_fits() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let counter = crate::testing::Words;
        assert_eq!(beginning(text.trim_end(), 1000, &counter), text.trim_end());
        let cut = beginning(text.trim_end(), 20, &counter);
        assert!(cut.ends_with("line 9\n(90 lines are left out)"), "{cut}");
    }
}
