//! Steps that write one file of which the task itself says what it must do: see [`coder`].

use edvac_agents::protocol::grammar::{CodeFile, Main};
use edvac_agents::roles::coder::{self, CoderView, Offers};
use edvac_agents::roles::planner::{self, Skeleton};
use edvac_agents::roles::tools;
use edvac_memory::context::{Fragment, TokenCounter};
use edvac_memory::ids::TreeId;
use edvac_memory::program::{Instruction, Requirement};
use edvac_memory::store::path;

use super::assemble::tree_for;
use super::{Performer, Trouble, instruction_of, program_of, repair_target};
use crate::check::{self, Offered};
use crate::control::state::Start;
use crate::control::{Purpose, RunState};

/// Most of the window that a grammar writes of a reply.
const GIVEN_SHARE: usize = 4;

/// What is known of such a file before it is written.
pub(super) struct Coding {
    offers: Vec<Offers>,
    begins: Vec<String>,
    main: Main,
    skeleton: Option<Skeleton>,
}

impl Coding {
    fn functions(&self) -> Vec<String> {
        let named = self.skeleton.iter().flat_map(|skeleton| &skeleton.functions).map(|f| f.name.clone());
        let main = (self.skeleton.is_some() && self.main == Main::Last).then(|| "main".to_owned());
        named.chain(main).collect()
    }

    /// Whether it is known which function a command line of the task is for.
    fn hands_over(&self) -> bool {
        self.skeleton.iter().flat_map(|skeleton| &skeleton.functions).any(|f| f.command.is_some())
    }

    /// What its grammar has to know.
    pub(super) fn file(self, instruction: &Instruction) -> CodeFile {
        let path = instruction.writes.first().cloned().unwrap_or_default();
        CodeFile { path, begins: self.begins, main: self.main, skeleton: self.skeleton }
    }
}

impl Performer {
    /// The only file of a step of a task that lists its requirements, where nothing was there before and no tools are named.
    pub(super) fn file_of_coder<'a>(
        &self,
        instruction: &'a Instruction,
        state: &RunState,
    ) -> Option<&'a str> {
        let (Some(start), [file]) = (&state.start, instruction.writes.as_slice()) else { return None };
        let names_tools = !tools::named(self.tools.specs(), &instruction.text).is_empty();
        let is_open = state.origin().is_some() || names_tools || !planner::is_listed(&start.task);
        (!is_open).then_some(file)
    }

    /// What is known of the file that a step writes, if it is a step for a coder: of a task that lists its requirements, where
    /// nothing was there before, and one file alone, of code whose tests follow or a text.
    pub(super) fn coding(
        &self,
        instruction: &Instruction,
        tree: &TreeId,
        state: &RunState,
    ) -> Result<Option<Coding>, Trouble> {
        let (Some(start), Some(file)) = (&state.start, self.file_of_coder(instruction, state)) else {
            return Ok(None);
        };
        let program = program_of(state)?;
        let is_text = path::is_text(file);
        if !(instruction.candidates || is_text) || !coder::is_known(&program.domain, &self.templates) {
            return Ok(None);
        }
        let store = self.files();
        let known = store.list(tree)?;
        let (mut offers, mut begins) = (Vec::new(), Vec::new());
        if is_text {
            let lines = planner::commands(&start.task);
            let lines: Vec<_> = lines.into_iter().map(|(_, line)| format!("`{line}`")).collect();
            let (path, main) = (String::new(), Main::May);
            offers.extend((!lines.is_empty()).then_some(Offers { path, lines }));
            return Ok(Some(Coding { offers, begins, main, skeleton: None }));
        }
        for other in
            instruction.reads.iter().filter(|other| other.as_str() != file && known.contains_key(*other))
        {
            let text = String::from_utf8_lossy(&store.read(tree, other)?).into_owned();
            let offered = check::offered(other, &text);
            let names: Vec<_> = offered.iter().map(|one| one.name.as_str()).collect();
            begins.extend(check::import_line(other, file, &names));
            let lines = said_of(&offered, &program.requirements);
            offers.extend((!lines.is_empty()).then(|| Offers { path: other.clone(), lines }));
        }
        let main = match planner::is_run(file, &start.task) {
            true => Main::Last,
            false if !planner::commands(&start.task).is_empty() => Main::Never,
            false => Main::May,
        };
        let said = program.requirements.iter().map(|r| r.text.as_str());
        let said: Vec<_> = said.filter(|text| instruction.text.contains(text)).collect();
        let skeleton = planner::skeleton(file, &start.task, &said);
        Ok(Some(Coding { offers, begins, main, skeleton }))
    }

    /// Tokens of a coder's or a tester's file that its grammar writes.
    pub(super) fn given_tokens(&self, purpose: Purpose, state: &RunState) -> Result<usize, Trouble> {
        let Purpose::Work { attempt, .. } = purpose else { return Ok(0) };
        if !self.client.info().grammar {
            return Ok(0);
        }
        let instruction = instruction_of(purpose, state)?;
        let tree = tree_for(attempt, state)?;
        let given = if let Some(testing) = self.testing(instruction, &tree, state)? {
            self.test_file(&testing, state)?.given()
        } else {
            let coding = self.coding(instruction, &tree, state)?;
            coding.map_or(String::new(), |coding| coding.file(instruction).given())
        };
        let tokens = TokenCounter::count(&self.counter(), &given);
        Ok(tokens.min(self.window_tokens() / GIVEN_SHARE))
    }

    /// The sentences about the function that is to be repaired, where its step is a coder's.
    pub(super) fn told(&self, purpose: Purpose, state: &RunState) -> Result<Vec<String>, Trouble> {
        let (work, (_, place)) = (state.work.as_ref(), repair_target(state)?);
        let tree = &work.ok_or(Trouble::Misfit("nothing is being worked on"))?.tree;
        let coding = self.coding(instruction_of(purpose, state)?, tree, state)?;
        let first = place.text.trim_start().lines().next().unwrap_or_default();
        let named = |name: &str| first.contains(&format!(" {name}("));
        let skeleton = coding.and_then(|coding| coding.skeleton);
        let function = skeleton.into_iter().flat_map(|s| s.functions).find(|f| named(&f.name));
        Ok(function.map(|function| function.sentences).unwrap_or_default())
    }

    pub(super) fn coder_fragments(
        &self,
        instruction: &Instruction,
        coding: &Coding,
        state: &RunState,
        start: &Start,
    ) -> Result<Vec<Fragment>, Trouble> {
        let program = program_of(state)?;
        let covered = program.requirements.iter().filter(|r| instruction.covers.contains(&r.id));
        let must = covered.map(|r| r.text.as_str()).filter(|text| !instruction.text.contains(text));
        let must: Vec<_> = must.collect();
        let view = CoderView {
            task: &start.task,
            domain: &program.domain,
            language: &program.language,
            path: instruction.writes.first().map_or("", String::as_str),
            text: &instruction.text,
            must: &must,
            functions: &coding.functions(),
            on_input: coding.skeleton.as_ref().is_some_and(|skeleton| skeleton.on_input),
            handed: self.client.info().grammar && coding.main == Main::Last && coding.hands_over(),
            offers: &coding.offers,
            summary: state.work.as_ref().and_then(|work| work.summary.as_deref()),
            grammar: self.client.info().grammar,
        };
        Ok(coder::fragments(&view, &self.templates, &self.counter())?)
    }
}

/// Each call in backticks; behind it what the task says of it, the first time.
fn said_of(offered: &[Offered], requirements: &[Requirement]) -> Vec<String> {
    let mut said: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for call in offered.iter().flat_map(|one| &one.calls) {
        let name = call.split('(').next().unwrap_or(call);
        let is_about = |text: &str| text.contains(&format!("`{name}("));
        let about = requirements.iter().map(|r| r.text.as_str()).find(|text| is_about(text));
        match about.filter(|text| !said.contains(text)) {
            Some(text) => {
                said.push(text);
                lines.push(format!("`{call}`: {text}"));
            }
            None => lines.push(format!("`{call}`")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_task_says_of_a_function_is_said_once() {
        let offered = check::offered("a.py", "def x(a): pass\ndef y(): pass\ndef z(): pass\n");
        let text = "`x(a)` and `y()` count.".to_owned();
        let requirements = [Requirement { id: "R1".into(), text }];
        assert_eq!(said_of(&offered, &requirements), ["`x(a)`: `x(a)` and `y()` count.", "`y()`", "`z()`"]);
    }
}
