//! The plan format as an llguidance Lark grammar.

use std::fmt::Write as _;

use super::{PlanRules, REQUIREMENTS_MAX, STEPS_MAX};
use crate::protocol::grammar::PATH;

/// Most characters of a sentence.
const TEXT_CHARS_MAX: usize = 400;
/// Most detail lines of one step.
const DETAILS_MAX: usize = 12;
/// Most files or requirements in one list.
const LIST_MAX: usize = 12;

/// A grammar under which only plans of this form can be written. Requirements and steps number themselves: each
/// number is a rule of its own that may lead to the next.
pub fn grammar(rules: &PlanRules) -> String {
    let given = rules.given.requirements.len();
    let requirements = if given == 0 { rules.requirements_max } else { given };
    let requirements = requirements.clamp(1, REQUIREMENTS_MAX);
    let steps = rules.steps_max.clamp(1, STEPS_MAX);
    let language = if rules.languages.is_empty() { "" } else { r#""LANGUAGE: " language "\n" "# };
    let prose = if rules.prose { r#""BEATS: " beats "\nWORDS: " words "\n" "# } else { "" };
    let more = LIST_MAX - 1;
    let others = requirements.max(LIST_MAX) - 1;
    let q1 = if given == 0 { "q1 " } else { "" };
    let mut out = format!(
        r#"start: "TITLE: " NAME "\n" {language}{q1}s1 "END" "\n"?
body: TEXT "\nWRITES: " paths "\n" rest
rest: "READS: " (paths | "-") "\nCOVERS: " covers "\n" {prose}"DO: " TEXT "\n" detail{{0,{DETAILS_MAX}}}
detail: "- " TEXT "\n"
paths: PATH (", " PATH){{0,{more}}}
covers: id (", " id){{0,{others}}}
NAME: /[A-Za-z0-9][A-Za-z0-9 ._\-]{{0,48}}/
TEXT: /[^ \-\r\n][^\r\n]{{0,{TEXT_CHARS_MAX}}}/
PATH: /{PATH}/
"#
    );
    if !rules.languages.is_empty() {
        let names: Vec<_> = rules.languages.iter().map(|l| format!("{l:?}")).collect();
        let _ = writeln!(out, "language: {}", names.join(" | "));
    }
    if rules.prose {
        out.push_str(concat!(
            "beats: \"-\" | BEAT (\"; \" BEAT){0,7}\n",
            "words: \"-\" | NUMBER \"-\" NUMBER\n",
            "BEAT: /[^ ;\\-\\r\\n][^;\\r\\n]{0,120}/\n",
            "NUMBER: /[1-9][0-9]{1,4}/\n",
        ));
    }
    let ids: Vec<_> = (1..=requirements).map(|n| format!("\"R{n}\"")).collect();
    let _ = writeln!(out, "id: {}", ids.join(" | "));
    let next = |name: &str, n: usize, max: usize| {
        if n < max { format!(" {name}{}?", n + 1) } else { String::new() }
    };
    for n in 1..=if given == 0 { requirements } else { 0 } {
        let _ = writeln!(out, "q{n}: \"REQUIREMENT R{n}: \" TEXT \"\\n\"{}", next("q", n, requirements));
    }
    let cut = &rules.given.steps;
    if cut.is_empty() {
        for n in 1..=steps {
            let _ = writeln!(out, "s{n}: \"STEP {n}: \" body{}", next("s", n, steps));
        }
    }
    // Where the files of each step are settled, so are their number and these lines.
    for (files, n) in cut.iter().zip(1..) {
        let after = if n < cut.len() { format!(" s{}", n + 1) } else { String::new() };
        let files = files.join(", ");
        let _ = writeln!(out, "s{n}: \"STEP {n}: \" TEXT \"\\nWRITES: {files}\\n\" rest{after}");
    }
    out
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
