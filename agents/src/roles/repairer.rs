//! The repairer: writes one part of a program again after a test failed.
//!
//! It sees the error and the parts that may hold its cause, and nothing of what was said before. A small model that is
//! shown its own file in a conversation copies it, fault and all; asked for one function it mends it.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::program::{Instruction, Requirement};
use edvac_memory::store::Edit;
use serde::Serialize;
use serde_json::json;

use super::words;
use crate::client::Finish;
use crate::protocol::{Action, Understood, blocks};
use crate::templates::{TemplateError, Templates};

/// Most lines of a part that is written again.
const LINES_MAX: usize = 90;
/// Most lines of a test that is written anew, after its first.
const TEST_LINES_MAX: usize = 24;
/// Most lines that are added to imports.
const IMPORTS_ADDED_MAX: usize = 6;

/// All that a repairer is told.
#[derive(Clone, Copy, Debug)]
pub struct RepairerView<'a> {
    /// The step whose tests failed.
    pub instruction: &'a Instruction,
    /// The program's requirements.
    pub requirements: &'a [Requirement],
    /// What failed, and the error.
    pub said: &'a str,
    /// Other parts that may have to do with it.
    pub others: &'a [PartView],
    /// The part to write again.
    pub part: &'a PartView,
    /// Whether the part is of a test that expected something else, which nobody may have asked for.
    pub expects: bool,
    /// Whether the part is a file's imports, to which something is to be added.
    pub imports: bool,
    /// How the test's file begins, where the test is to be written anew and its present lines are not shown.
    pub anew: Option<&'a str>,
}

/// Lines of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartView {
    /// The file.
    pub path: String,
    /// First line, from 1.
    pub line_first: usize,
    /// Last line, inclusive.
    pub line_last: usize,
    /// The lines.
    pub text: String,
}

#[derive(Serialize)]
struct PartWords<'a> {
    path: &'a str,
    line_first: usize,
    line_last: usize,
    text: &'a str,
    fence: String,
}

impl PartView {
    fn words(&self) -> PartWords<'_> {
        let Self { path, line_first, line_last, text } = self;
        PartWords {
            path,
            line_first: *line_first,
            line_last: *line_last,
            text: text.trim_end_matches('\n'),
            fence: words::fence(text),
        }
    }
}

/// The repairer's prompt.
pub fn fragments(
    view: &RepairerView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let about = json!({
        "requirements": words::requirements(view.requirements, Some(&view.instruction.covers)),
        "said": view.said.trim(), "fence": words::fence(view.said),
        "others": view.others.iter().map(PartView::words).collect::<Vec<_>>(),
        "part": view.part.words(), "imports": view.imports, "expects": view.expects,
        "anew": view.anew.map(str::trim_end), "first_line": view.part.text.lines().next().unwrap_or_default().trim(),
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

/// A grammar for the repairer's reply: one fenced block. `imports` begin with the lines of `old` as they are, since a small
/// model that is asked for one more import writes that one instead of another; a test written `anew` begins with the first.
pub fn grammar(imports: bool, anew: bool, old: &str) -> String {
    let keep = |text: &str| format!(" {:?}", format!("{}\n", text.trim_end_matches('\n')));
    let (kept, lines_max) = if imports {
        (keep(old), IMPORTS_ADDED_MAX)
    } else if anew {
        (keep(old.lines().next().unwrap_or_default()), TEST_LINES_MAX)
    } else {
        (String::new(), LINES_MAX)
    };
    format!(
        r#"start: "```" LANGUAGE "\n"{kept} part{{1,{lines_max}}} "```"
part: BLANK{{0,2}} LINE
LANGUAGE: /[a-z]{{0,12}}/
BLANK: "\n"
LINE: /[^\r\n]+\n/ & ~/``[^\r\n]*\n/
"#
    )
}

/// What a reply asks for: the lines of its block in place of `old` in the file at `path`. Blocks of the worker's protocol
/// are understood as well.
pub fn understand(text: &str, finish: Finish, path: &str, old: &str) -> Understood {
    let problem = |text: &str| Understood { actions: Vec::new(), problems: vec![text.to_owned()] };
    if text.lines().any(|line| line.starts_with("@@ ")) {
        let mut understood = blocks::understand(text, finish);
        understood
            .actions
            .retain(|a| matches!(a, Action::Edit { .. } | Action::Note { .. } | Action::Done { .. }));
        return understood;
    }
    if finish != Finish::Stop {
        return problem("The reply did not come to its end.");
    }
    let mut new = String::new();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("```"));
    if lines.next().is_none() {
        return problem("Write the part in one block, between two lines ```.");
    }
    let mut closed = false;
    for line in lines {
        if line.starts_with("```") {
            closed = true;
            break;
        }
        new.push_str(line);
        new.push('\n');
    }
    let same = |a: &str, b: &str| a.lines().map(str::trim_end).eq(b.lines().map(str::trim_end));
    if !closed || new.trim().is_empty() {
        return problem("Write the whole part in one block, between two lines ```.");
    }
    if same(new.trim_end(), old.trim_end()) {
        return problem("The part is the same as before.");
    }
    let edit =
        Edit::Replace { path: path.to_owned(), search: old.to_owned(), replace: reindented(&new, old) };
    Understood {
        actions: vec![
            Action::Edit { edit },
            Action::Done { summary: format!("a part of {path} is written again") },
        ],
        problems: Vec::new(),
    }
}

/// With the indentation of the old lines, where the new ones are written as if they stood alone.
fn reindented(new: &str, old: &str) -> String {
    let indent = |text: &str| -> String {
        let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
        first[..first.len() - first.trim_start().len()].to_owned()
    };
    let (is, should) = (indent(new), indent(old));
    if !is.is_empty() || should.is_empty() {
        return new.to_owned();
    }
    new.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{should}{line}\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "    def f(self):\n        return 1\n";

    fn edit(text: &str) -> Result<(String, String), String> {
        let Understood { actions, problems } = understand(text, Finish::Stop, "a.py", OLD);
        match (actions.as_slice(), problems.as_slice()) {
            ([Action::Edit { edit: Edit::Replace { search, replace, .. } }, Action::Done { .. }], []) => {
                Ok((search.clone(), replace.clone()))
            }
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
        assert!(edit("I would return 2.").unwrap_err().contains("one block"));
        assert!(edit("```python\n    def f(self):").unwrap_err().contains("whole part"));
        let cut = understand("```python\nx = 1\n```", Finish::Length, "a.py", OLD);
        assert!(cut.actions.is_empty() && !cut.problems.is_empty());
    }

    #[test]
    fn blocks_of_a_worker_are_understood_but_for_its_questions() {
        let text = "@@ write a.py\nx = 1\n@@ end\n@@ done x is there.\n";
        assert_eq!(understand(text, Finish::Stop, "a.py", OLD).actions.len(), 2);
        assert!(understand("@@ read a.py\n", Finish::Stop, "a.py", OLD).actions.is_empty());
    }
}
