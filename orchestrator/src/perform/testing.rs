//! Steps that write the tests of one file of which the task itself says what it must do: see [`tester`].

use edvac_agents::protocol::grammar::{GivenTests, TestFile};
use edvac_agents::roles::coder::Offers;
use edvac_agents::roles::planner;
use edvac_agents::roles::tester::{self, TesterView};
use edvac_memory::context::Fragment;
use edvac_memory::ids::TreeId;
use edvac_memory::program::Instruction;
use edvac_memory::store::path::is_test;

use super::{Performer, Trouble, program_of};
use crate::check;
use crate::control::RunState;
use crate::control::state::Start;

/// What is known of the tests before they are written.
pub(super) struct Testing {
    path: String,
    tested: String,
    language: &'static str,
    is_run: bool,
    offers: Vec<Offers>,
    /// Id and sentence.
    said: Vec<(String, String)>,
}

impl Performer {
    /// What is known of the tests that a step writes, if it is a step for a tester: of a task that lists its requirements, of one
    /// file beside it, for requirements that they have to name.
    pub(super) fn testing(
        &self,
        instruction: &Instruction,
        tree: &TreeId,
        state: &RunState,
    ) -> Result<Option<Testing>, Trouble> {
        let (Some(start), Some(path)) = (&state.start, self.file_of_coder(instruction, state)) else {
            return Ok(None);
        };
        let Some(tested) = instruction.reads.first().filter(|tested| !is_test(tested)) else {
            return Ok(None);
        };
        let folder =
            |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
        let language = match (path.rsplit_once('.'), tested.rsplit_once('.')) {
            (Some((_, "py")), Some((_, "py"))) => "python",
            (Some((_, "mjs" | "js")), Some((_, "mjs" | "js"))) => "javascript",
            _ => return Ok(None),
        };
        let program = program_of(state)?;
        let store = self.files();
        let is_there = store.list(tree)?.contains_key(tested);
        if !is_test(path)
            || folder(path) != folder(tested)
            || !is_there
            || !tester::is_known(&program.domain, &self.templates)
        {
            return Ok(None);
        }
        let ids = instruction.named_by_tests();
        let said = program.requirements.iter().filter(|r| ids.contains(&r.id));
        let said: Vec<_> = said.map(|r| (r.id.0.clone(), r.text.clone())).collect();
        let is_run = planner::is_run(tested, &start.task);
        let offers = if is_run {
            let lines = planner::commands(&start.task).into_iter().filter(|(file, _)| file == tested);
            Offers { path: String::new(), lines: lines.map(|(_, line)| format!("`{line}`")).collect() }
        } else {
            let text = String::from_utf8_lossy(&store.read(tree, tested)?).into_owned();
            let calls = check::offered(tested, &text).into_iter().flat_map(|one| one.calls);
            Offers { path: tested.clone(), lines: calls.map(|call| format!("`{call}`")).collect() }
        };
        let is_open = said.is_empty() || !is_run && offers.lines.is_empty();
        let (path, tested) = (path.to_owned(), tested.clone());
        Ok((!is_open).then(|| Testing { path, tested, language, is_run, offers: vec![offers], said }))
    }

    /// What the grammar of such a file has to know.
    pub(super) fn test_file(&self, testing: &Testing, state: &RunState) -> Result<TestFile, Trouble> {
        let start = state.start.as_ref().ok_or(Trouble::Misfit("the run has not started"))?;
        let head = tester::head(&self.view(testing, state, start)?, &self.templates)?;
        let said = testing.said.iter().map(|(id, text)| format!("{id}: {text}")).collect();
        Ok(TestFile {
            path: testing.path.clone(),
            ids: testing.said.iter().map(|(id, _)| id.clone()).collect(),
            given: Some(GivenTests { head, said, runs: testing.is_run }),
        })
    }

    fn view<'a>(
        &self,
        testing: &'a Testing,
        state: &'a RunState,
        start: &'a Start,
    ) -> Result<TesterView<'a>, Trouble> {
        Ok(TesterView {
            task: &start.task,
            domain: &program_of(state)?.domain,
            language: testing.language,
            path: &testing.path,
            tested: &testing.tested,
            said: &testing.said,
            offers: &testing.offers,
            summary: state.work.as_ref().and_then(|work| work.summary.as_deref()),
            grammar: self.client.info().grammar,
        })
    }

    pub(super) fn tester_fragments(
        &self,
        testing: &Testing,
        state: &RunState,
        start: &Start,
    ) -> Result<Vec<Fragment>, Trouble> {
        let view = self.view(testing, state, start)?;
        Ok(tester::fragments(&view, &self.templates, &self.counter())?)
    }
}
