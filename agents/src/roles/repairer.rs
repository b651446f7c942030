//! The repairer: writes one part of a program again after a test failed.
//!
//! It sees the error and the parts that may hold its cause, and nothing of what was said before. A small model that is
//! shown its own file in a conversation copies it, fault and all; asked for one function it mends it.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::fault::{Fault, Place, PlaceKind};
use edvac_memory::program::{Instruction, Requirement};
use edvac_memory::store::Edit;
use serde::Serialize;
use serde_json::json;

use super::words;
use crate::client::Finish;
use crate::protocol::grammar::quoted;
use crate::protocol::{Action, Understood, blocks};
use crate::templates::{TemplateError, Templates};

/// Most lines of a part that is written again.
const LINES_MAX: usize = 90;
/// Most lines of a part that is written anew, after its first.
const ANEW_LINES_MAX: usize = 40;
/// Most characters of what is said before a part.
const SENTENCE_CHARS_MAX: usize = 300;
/// Most lines that are added to imports.
const IMPORTS_ADDED_MAX: usize = 6;

/// All that a repairer is told.
#[derive(Clone, Copy, Debug)]
pub struct RepairerView<'a> {
    /// The step whose tests failed.
    pub instruction: &'a Instruction,
    /// The program's requirements.
    pub requirements: &'a [Requirement],
    /// What failed, and the parts that may have to do with it.
    pub fault: &'a Fault,
    /// The part to write again, one of the fault's.
    pub place: &'a Place,
    /// What the part must do, where that is known of it alone.
    pub told: &'a [String],
    /// Whether a test or a function is written anew, without a sight of its present lines.
    pub anew: bool,
}

/// A place as templates see it.
#[derive(Serialize)]
struct PlaceWords<'a> {
    path: &'a str,
    line_first: usize,
    line_last: usize,
    text: &'a str,
    fence: String,
}

fn place_words(place: &Place) -> PlaceWords<'_> {
    PlaceWords {
        path: &place.path,
        line_first: place.line_first,
        line_last: place.line_last,
        text: place.text.trim_end_matches('\n'),
        fence: words::fence(&place.text),
    }
}

/// The repairer's prompt.
pub fn fragments(
    view: &RepairerView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let RepairerView { fault, place, anew, .. } = *view;
    let above = match &place.kind {
        PlaceKind::Expectation { above } | PlaceKind::Hollow { above, .. } => above.trim_end(),
        PlaceKind::Code | PlaceKind::Imports => "",
    };
    let hollow = match &place.kind {
        PlaceKind::Hollow { names, .. } => names.join(" and "),
        _ => String::new(),
    };
    let others: Vec<_> = fault.places.iter().filter(|p| *p != place).map(place_words).collect();
    let about = json!({
        "requirements": words::requirements(view.requirements, Some(&view.instruction.covers)),
        "said": fault.said.trim(), "fence": words::fence(&fault.said), "others": others,
        "part": place_words(place), "first_line": first_line(place).trim(), "above": above, "anew": anew,
        "imports": place.kind == PlaceKind::Imports, "offers": place.offers,
        "hollow": hollow, "sentences": view.told,
        "told": if view.instruction.candidates && view.told.is_empty() { view.instruction.text.trim() } else { "" },
        "expects": matches!(place.kind, PlaceKind::Expectation { .. }),
    });
    [
        (FragmentKind::System, "prompts/repairer/system.md", "how a repairer replies"),
        (FragmentKind::Step, "prompts/repairer/step.md", "what failed, and the part to mend"),
    ]
    .into_iter()
    .map(|(kind, name, reason)| {
        Ok(Fragment::new(kind, name, reason, templates.render(name, &about)?, counter))
    })
    .collect()
}

fn first_line(place: &Place) -> &str {
    place.text.lines().next().unwrap_or_default()
}

/// A grammar for the repairer's reply: one fenced block. Imports begin with the lines that are there, since a small model
/// that is asked for one more import writes that one instead of another, and go on with one that the place offers; a part
/// written `anew` begins with its first line. Where it is known which expression failed, the part differs from the old one
/// before that expression's end: what begins in the same way fails in the same way, and copying is what small models do. Where
/// it `explains`, a sentence comes first: a model that says what is missing writes it, where one that does not copies.
pub fn grammar(place: &Place, anew: bool, explains: bool) -> String {
    let keep = |text: &str| format!(" {}", quoted(&format!("{}\n", text.trim_end_matches('\n'))));
    let part = |lines_max| format!("part{{1,{lines_max}}}");
    let mut rules = String::new();
    let (kept, rest) = match place.kind {
        PlaceKind::Imports if !place.offers.is_empty() => {
            let lines: Vec<_> = place.offers.iter().map(|line| quoted(&format!("{line}\n"))).collect();
            (keep(&place.text), format!("({})", lines.join(" | ")))
        }
        PlaceKind::Imports => (keep(&place.text), part(IMPORTS_ADDED_MAX)),
        PlaceKind::Hollow { .. } => {
            // What it did shows nothing, so it does something else.
            let body: String = place.text.split_inclusive('\n').skip(1).collect();
            rules = unlike(body.trim_end());
            (
                keep(first_line(place)),
                if rules.is_empty() { part(ANEW_LINES_MAX) } else { "unlike0".to_owned() },
            )
        }
        PlaceKind::Code | PlaceKind::Expectation { .. } if anew => {
            (keep(first_line(place)), part(ANEW_LINES_MAX))
        }
        PlaceKind::Code | PlaceKind::Expectation { .. } if !place.until_failure.is_empty() => {
            rules = unlike(&place.until_failure);
            (String::new(), "unlike0".to_owned())
        }
        PlaceKind::Code | PlaceKind::Expectation { .. } => (String::new(), part(LINES_MAX)),
    };
    let said = if explains { "SENTENCE " } else { "" };
    format!(
        r#"start: {said}"```" LANGUAGE "\n"{kept} {rest} "```"
SENTENCE: /[^`\r\n][^\r\n]{{9,{SENTENCE_CHARS_MAX}}}\n/
part: BLANK{{0,2}} LINE
LANGUAGE: /[a-z]{{0,12}}/
BLANK: "\n"
LINE: /[^\r\n]+\n/ & ~/``[^\r\n]*\n/
{rules}"#
    )
}

/// Rules for lines that do not begin with `text`, from `unlike0` on: each of its lines is there, or another one and then
/// whatever comes. Of the last line, which need not be a whole one, it is another that follows.
fn unlike(text: &str) -> String {
    let mut rules = String::new();
    let lines: Vec<_> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let (same, go_on) = if number + 1 < lines.len() {
            (quoted(&format!("{line}\n")), format!("SAME{number} unlike{} | ", number + 1))
        } else {
            (format!("{} /[^\\r\\n]*\\n/", quoted(line)), String::new())
        };
        rules += &format!(
            "unlike{number}: {go_on}OTHER{number} part{{0,{LINES_MAX}}}\nSAME{number}: {same}\nOTHER{number}: LINE & ~SAME{number}\n"
        );
    }
    rules
}

/// What a reply asks for: the lines of its block in place of the old ones. Blocks of the worker's protocol are understood
/// as well.
pub fn understand(text: &str, finish: Finish, place: &Place) -> Understood {
    if text.lines().any(|line| line.starts_with("@@ ")) {
        let mut understood = blocks::understand(text, finish);
        understood
            .actions
            .retain(|a| matches!(a, Action::Edit { .. } | Action::Note { .. } | Action::Done { .. }));
        return understood;
    }
    let problem = |text: &str| Understood { actions: Vec::new(), problems: vec![text.to_owned()] };
    if finish != Finish::Stop {
        return problem("The reply did not come to its end.");
    }
    let is_fence = |line: &&str| line.starts_with("```");
    let block: Vec<_> = text.lines().skip_while(|line| !is_fence(line)).collect();
    let Some(length) = block.iter().skip(1).position(is_fence).filter(|length| *length > 0) else {
        return problem("Write the whole part in one block, between two lines ```.");
    };
    let lines = &block[1..=length];
    if lines.iter().map(|l| l.trim_end()).eq(place.text.trim_end().lines().map(str::trim_end)) {
        return problem("The part is the same as before.");
    }
    let new = indented(lines, first_line(place));
    if !place.until_failure.is_empty() && new.starts_with(&place.until_failure) {
        let failed = place.until_failure.lines().next_back().unwrap_or_default().trim();
        return problem(&format!("Up to `{failed}`, where it fails, the part is the same as before."));
    }
    let edit = Edit::ReplaceLines {
        path: place.path.clone(),
        line_first: place.line_first,
        old: place.text.clone(),
        new,
    };
    let summary = format!("a part of {} is written again", place.path);
    Understood { actions: vec![Action::Edit { edit }, Action::Done { summary }], problems: Vec::new() }
}

/// The new lines, with the indentation of the first old one where they are written as if they stood alone.
fn indented(lines: &[&str], like: &str) -> String {
    let alone = lines.first().is_some_and(|line| line.trim_start() == *line);
    let indent = if alone { &like[..like.len() - like.trim_start().len()] } else { "" };
    lines
        .iter()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "    def f(self):\n        return 1\n";

    fn place() -> Place {
        let path = "a.py".to_owned();
        let text = OLD.to_owned();
        let (kind, offers, until_failure) = (PlaceKind::Code, Vec::new(), String::new());
        Place { path, line_first: 4, line_last: 5, text, kind, offers, until_failure }
    }

    fn edit(text: &str) -> Result<(String, String), String> {
        let Understood { actions, problems } = understand(text, Finish::Stop, &place());
        match (actions.as_slice(), problems.as_slice()) {
            (
                [
                    Action::Edit { edit: Edit::ReplaceLines { line_first: 4, old, new, .. } },
                    Action::Done { .. },
                ],
                [],
            ) => Ok((old.clone(), new.clone())),
            (_, problems) => Err(problems.join(" ")),
        }
    }

    #[test]
    fn a_part_takes_the_place_of_the_old_one() {
        let new = "    def f(self):\n        return 2\n";
        assert_eq!(edit(&format!("```python\n{new}```")), Ok((OLD.to_owned(), new.to_owned())));
        assert_eq!(edit(&format!("Here it is:\n```\n{new}```\nDone.")), Ok((OLD.to_owned(), new.to_owned())));
        let alone = "def f(self):\n\n    return 2\n";
        let indented = "    def f(self):\n\n        return 2\n";
        assert_eq!(edit(&format!("```python\n{alone}```")).unwrap().1, indented);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        assert!(edit(&format!("```python\n{OLD}```")).unwrap_err().contains("same"));
        assert!(edit("```\n```").unwrap_err().contains("whole part"));
        assert!(edit("I would return 2.").unwrap_err().contains("in one block"));
        assert!(edit("```python\n    def f(self):").unwrap_err().contains("whole part"));
        let cut = understand("```python\nx = 1\n```", Finish::Length, &place());
        assert!(cut.actions.is_empty() && !cut.problems.is_empty());
    }

    #[test]
    fn a_part_differs_before_the_end_of_what_failed() {
        use crate::testing::accepts;
        let text = "    def f(self):\n\n        x = \"a\"\n        return x.y + 1\n".to_owned();
        let until_failure = text[..text.find(".y").unwrap() + 2].to_owned();
        let grammar = grammar(&Place { text: text.clone(), until_failure, ..place() }, false, false);
        let reply = |text: &str| accepts(&grammar, &format!("```python\n{text}```"));
        for (old, new) in
            [("x.y", "x"), ("x.y", "len(x)"), ("\"a\"", "A()"), ("def f(self)", "def f(self, y)")]
        {
            assert_eq!(reply(&text.replace(old, new)), Ok(()), "{new}");
        }
        for (old, new) in [("+ 1", "+ 2"), ("x.y", "x.yes"), ("+ 1\n", "+ 1\n        return 2\n")] {
            assert!(reply(&text.replace(old, new)).is_err(), "{new}");
        }
        assert!(reply("    def f(self):\n").is_err(), "it only stops before it");
        let odd = "    def f(self):\n        return \"\u{200b}\u{301}\\ é\".y\n".to_owned();
        let until_failure = odd[..odd.find(".y").unwrap() + 2].to_owned();
        let grammar =
            super::grammar(&Place { text: odd.clone(), until_failure, ..self::place() }, false, false);
        assert_eq!(
            accepts(&grammar, &format!("```\n{}```", odd.replace(".y", ".x"))),
            Ok(()),
            "odd characters"
        );
    }

    #[test]
    fn a_test_that_shows_nothing_keeps_its_name_and_does_something_else() {
        use crate::testing::accepts;
        let text = "    def test_r1(self):\n        x = 1\n        self.assertTrue(True)\n";
        let kind = PlaceKind::Hollow { above: String::new(), names: vec!["R1".into()] };
        let grammar = grammar(&Place { text: text.to_owned(), kind, ..place() }, true, false);
        let reply = |text: &str| accepts(&grammar, &format!("```python\n{text}```"));
        assert_eq!(reply(&text.replace("assertTrue(True)", "assertEqual(f(), 1)")), Ok(()));
        assert_eq!(reply(&text.replace("x = 1\n", "x = f()\n")), Ok(()));
        assert!(reply(text).is_err());
        assert!(reply(&text.replace("test_r1", "test_r2").replace("True)", "f())")).is_err(), "another name");
    }

    #[test]
    fn what_fails_in_the_same_way_is_not_used() {
        let place = Place { until_failure: "    def f(self):\n        return 1".to_owned(), ..place() };
        let reply = |line: &str| {
            understand(&format!("```\n    def f(self):\n        {line}\n```"), Finish::Stop, &place).problems
        };
        assert!(reply("return 1 + 1")[0].contains("`return 1`"));
        assert!(reply("return 2").is_empty());
    }

    #[test]
    fn blocks_of_a_worker_are_understood_but_for_its_questions() {
        let text = "@@ write a.py\nx = 1\n@@ end\n@@ done x is there.\n";
        assert_eq!(understand(text, Finish::Stop, &place()).actions.len(), 2);
        assert!(understand("@@ read a.py\n", Finish::Stop, &place()).actions.is_empty());
    }
}
