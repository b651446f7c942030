//! Calling the model: the conversation as it stands in the journal goes out, one reply comes back.

use std::collections::BTreeSet;

use edvac_agents::client::{Finish, ModelError, ModelRequest, Sampling};
use edvac_agents::prompt;
use edvac_agents::protocol::grammar::{self, Chapter, GrammarOptions, TestFile};
use edvac_agents::roles::{outliner, planner, repairer, reviewer, summariser, tools};
use edvac_memory::program::{Check, CheckKind, Instruction};
use edvac_memory::store::path;
use serde_json::Value;

use super::assemble::{Outlined, outlined};
use super::{Performer, Trouble, instruction_of, program_of, repair_target};
use crate::check;
use crate::control::state::{Conversation, Turn, Work};
use crate::control::{Event, Purpose, RunState};
use crate::notice::Notice;

/// Blocks of one reply, where a grammar can bound them.
const BLOCKS_MAX: usize = 8;
/// How often a reply that goes round in circles is taken back.
const LOOP_REWINDS_MAX: u32 = 8;
/// The same for prose, where a sentence that comes again is such a circle.
const SENTENCE_REWINDS_MAX: u32 = 32;
/// Lines up to which a file is written again rather than edited.
const REWRITTEN_LINES_MAX: usize = 120;
/// Characters of a reply that was cut off that the model is shown again.
const CUT_CHARS_MAX: usize = 240;
/// Stands in a form for how many chapters there are.
const CHAPTERS: &str = "CHAPTERS";
/// Files that a grammar names at most.
const FILES_MAX: usize = 24;
/// Turn of a conversation, from 0, from which on replies are sampled.
const VARIED_FROM_TURN: u32 = 2;
/// Temperature where the most likely reply was not good enough before.
const TEMPERATURE_AGAIN: f32 = 0.6;
/// Temperature of a run that was asked for other replies than the most likely ones.
const TEMPERATURE_SEEDED: f32 = 0.4;
/// Temperature of a repair once every place was tried: what is wanted is a part that is not the same again.
const TEMPERATURE_REPAIR: f32 = 1.0;
/// Keeps prose from saying the same again. A penalty on all recent words instead drives a small model out of its language.
const PROSE_DRY_MULTIPLIER: f32 = 0.8;
/// Temperature of prose.
const PROSE_TEMPERATURE: f32 = 0.7;
/// Keeps tokens that are far from likely out of a sampled reply.
const TOP_P: f32 = 0.9;

impl Performer {
    pub(super) async fn call(&self, purpose: Purpose, turn: u32, state: &RunState) -> Result<Event, Trouble> {
        let start = state.start.as_ref().ok_or(Trouble::Misfit("the run has not started"))?;
        let summing;
        let talk = match (purpose, &state.work) {
            (Purpose::Plan | Purpose::Replan { .. }, _) => &state.planning,
            (Purpose::Work { .. } | Purpose::Repair { .. }, Some(work)) => &work.talk,
            (Purpose::Review { .. }, Some(work)) => &work.review.talk,
            (Purpose::Summarise { .. }, Some(work)) => {
                summing = Conversation { context: work.summing.clone(), turns: Vec::new() };
                &summing
            }
            (_, None) => return Err(Trouble::Misfit("nothing is being worked on")),
        };
        let context = talk.context.as_ref().ok_or(Trouble::Misfit("the prompt was not assembled"))?;
        let prose = matches!(purpose, Purpose::Work { .. }) && self.domain.prose;
        let is_section = prose && instruction_of(purpose, state)?.section().is_some();
        let is_outline = match purpose {
            Purpose::Plan => self.outline(state).is_some(),
            Purpose::Replan { instruction, .. } => outlined(instruction, state).is_some(),
            _ => false,
        };
        // A section or an outline that did not do is written anew, by chance otherwise: what was written and what is said about it
        // ends up in the next one.
        let turns = talk.turns.iter().filter(|_| !is_section && !is_outline);
        let turns = turns.map(|t| (as_remembered(t), t.answer.as_deref().unwrap_or("Go on.")));
        let request = ModelRequest {
            messages: prompt::continued(context, turns),
            tokens_max: talk.reply_tokens_max(&start.limits),
            sampling: self.sampling(purpose, turn, talk, state),
            grammar: self.grammar(purpose, state)?,
            stop: Vec::new(),
            tools: matches!(purpose, Purpose::Work { .. }),
            called: context.fragments.iter().filter_map(tools::told_of).map(str::to_owned).collect(),
            loop_rewinds_max: if prose { SENTENCE_REWINDS_MAX } else { LOOP_REWINDS_MAX },
            sentences_once: prose,
        };
        let sink = |delta| self.notices.send(Notice::Delta(purpose, delta));
        match self.client.complete(&request, &sink, self.cancel.clone()).await {
            Ok(reply) => Ok(Event::Replied { purpose, turn, reply }),
            Err(ModelError::Overflow { prompt_tokens, window_tokens })
                if matches!(purpose, Purpose::Work { .. }) && turn > 0 =>
            {
                Ok(Event::Overflowed { purpose, prompt_tokens, window_tokens })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn grammar(&self, purpose: Purpose, state: &RunState) -> Result<Option<String>, Trouble> {
        if !self.client.info().grammar {
            return Ok(None);
        }
        let foreign = state.start.as_ref().is_some_and(|start| is_foreign(&start.task));
        Ok(Some(match purpose {
            Purpose::Plan => match self.outline(state) {
                Some((chapters, given)) => outliner::grammar(chapters, given.len(), foreign),
                None => planner::grammar(&self.plan_rules(state)),
            },
            Purpose::Replan { instruction, .. } if let Some(outlined) = outlined(instruction, state) => {
                match outlined {
                    Outlined::Chapters(count) => outliner::part_grammar(count, foreign),
                    Outlined::Beats(count) => outliner::chapter_grammar(count, foreign),
                }
            }
            Purpose::Replan { instruction, .. } => planner::grammar(&self.replan_rules(instruction, state)),
            Purpose::Work { .. } => grammar::grammar(&self.work_grammar(purpose, state)?),
            Purpose::Repair { .. } => {
                let (_, place) = repair_target(state)?;
                let explains = !self.told(purpose, state)?.is_empty();
                let anew = !explains && state.work.as_ref().is_some_and(Work::writes_anew);
                repairer::grammar(place, anew, explains)
            }
            Purpose::Review { .. } => reviewer::grammar(),
            Purpose::Summarise { .. } => summariser::grammar(),
        }))
    }

    /// The tools that the prompt of the work in progress tells of.
    fn called(&self, state: &RunState) -> Vec<(String, Value)> {
        let context = state.work.as_ref().and_then(|work| work.talk.context.as_ref());
        let told = context.into_iter().flat_map(|context| &context.fragments).filter_map(tools::told_of);
        let specs = told.filter_map(|name| self.tools.specs().iter().find(|spec| spec.name == name));
        specs.map(|spec| (spec.name.clone(), spec.schema.clone())).collect()
    }

    /// What a worker may write: the files of its step, whole. Those that are not there yet come first, all of them, or one
    /// by one after a reply that was too long. Where a file is too long to be written again, edits; where none is, also the
    /// files of other steps, which may hold the fault that it finds.
    fn work_grammar(&self, purpose: Purpose, state: &RunState) -> Result<GrammarOptions, Trouble> {
        let instruction = instruction_of(purpose, state)?;
        let turns = state.work.as_ref().map_or(&[][..], |work| &work.talk.turns);
        let mut each = Vec::new();
        let mut writes = instruction.writes.clone();
        let mut edits = false;
        let mut reads = Vec::new();
        let mut long = Vec::new();
        if let Some(work) = &state.work {
            let store = self.files();
            let present = store.list(&work.tree)?;
            (writes, each) = writes.into_iter().partition(|path| present.contains_key(path));
            // Tests of other steps are not its business: what it may change of them, it says as a repair.
            let others = |path: &String| path::is_test(path) && !instruction.writes.contains(path);
            // Of many files, only the step's own are looked into.
            let is_many = present.len() > FILES_MAX;
            let looked_into = |path: &String| !is_many || instruction.writes.contains(path);
            edits |= state.origin().is_some();
            for path in present.into_keys() {
                if !looked_into(&path) {
                    reads.push(path);
                    continue;
                }
                let lines = store.read(&work.tree, &path)?.split(|byte| *byte == b'\n').count() - 1;
                edits |= lines > REWRITTEN_LINES_MAX;
                if lines > REWRITTEN_LINES_MAX {
                    long.push(path.clone());
                }
                if lines <= REWRITTEN_LINES_MAX
                    && !others(&path)
                    && !writes.contains(&path)
                    && writes.len() < FILES_MAX
                {
                    writes.push(path.clone());
                }
                reads.push(path);
            }
        }
        let chapter = self.chapter(instruction, state)?;
        if edits || chapter.is_some() {
            writes.retain(|path| instruction.writes.contains(path));
        }
        if state.origin().is_some() {
            // A file that was there is changed where it has to be.
            writes.retain(|path| long.iter().all(|other| other != path));
        }
        if instruction.section().is_some() {
            // It comes behind what is there, once.
            (each, writes) = (instruction.writes.clone(), Vec::new());
        }
        let mut blocks_max = BLOCKS_MAX;
        if turns.iter().any(|turn| turn.finish == Finish::Length) && !each.is_empty() {
            // The file, and that it is done.
            each.truncate(1);
            blocks_max = 2;
        }
        let ids: Vec<_> = instruction.named_by_tests().into_iter().map(|id| id.0).collect();
        let is_listed = state.start.as_ref().is_some_and(|start| planner::is_listed(&start.task));
        let tree = state.work.as_ref().map(|work| &work.tree);
        let testing = tree.map(|tree| self.testing(instruction, tree, state)).transpose()?.flatten();
        let tested = testing.as_ref().map(|testing| self.test_file(testing, state)).transpose()?;
        let fenced = (is_listed && chapter.is_none()).then(|| {
            let tests = each.iter().filter(|path| path::is_test(path));
            let open = |path: &String| TestFile { path: path.clone(), ids: ids.clone(), given: None };
            tests.map(|path| tested.clone().unwrap_or_else(|| open(path))).collect()
        });
        let last = turns.last();
        let repairs = last.is_some_and(|turn| turn.checked && turn.answer.is_some()) && chapter.is_none();
        let writes_of_all = program_of(state)?.all().into_iter().flat_map(|i| &i.writes);
        let chapters: BTreeSet<_> = writes_of_all.filter(|path| self.domain.is_chapter(path)).collect();
        let chapters = chapters.len().max(1);
        let coding = tree.map(|tree| self.coding(instruction, tree, state)).transpose()?.flatten();
        // A coder or a tester has nothing to ask, and nothing to write but its file.
        let writes_only = (coding.is_some() || testing.is_some()) && !each.is_empty();
        if writes_only {
            (blocks_max, reads) = (2, Vec::new());
        }
        Ok(GrammarOptions {
            blocks_max,
            fenced,
            code: coding.map(|coding| coding.file(instruction)),
            run: self.sandbox.is_ok() && self.domain.runs_commands() && !writes_only,
            called: self.called(state),
            each,
            writes,
            edits: edits && chapter.is_none(),
            forms: self
                .domain
                .forms
                .iter()
                .map(|f| {
                    (f.path.clone(), f.rule(state.allow_install).replace(CHAPTERS, &chapters.to_string()))
                })
                .collect(),
            reads: (reads.len() <= FILES_MAX).then_some(reads),
            repairs,
            chapter,
        })
    }

    /// How a step's only chapter must look; none where it writes anything else.
    fn chapter(&self, instruction: &Instruction, state: &RunState) -> Result<Option<Chapter>, Trouble> {
        let ([path], Some(words)) = (instruction.writes.as_slice(), words(instruction)) else {
            return Ok(None);
        };
        let section = instruction.section();
        let contents = &self.domain.contents;
        let title = match &state.tree {
            // Only the first section has the chapter's title above it.
            Some(tree)
                if section.is_none_or(|n| n == 1)
                    && !contents.is_empty()
                    && self.files().list(tree)?.contains_key(contents) =>
            {
                let text = self.files().read(tree, contents)?;
                check::title_in(&String::from_utf8_lossy(&text), contents, path)
            }
            _ => None,
        };
        let foreign = state.start.as_ref().is_some_and(|start| is_foreign(&start.task));
        Ok(Some(Chapter { title, section, words, foreign }))
    }

    /// The most likely reply first; where that did not do, another one that is as reproducible: its seed follows from
    /// what is asked, so that a repeated call asks for the same. Prose is never the most likely text.
    fn sampling(&self, purpose: Purpose, turn: u32, talk: &Conversation, state: &RunState) -> Sampling {
        let work = state.work.as_ref();
        let is_chapter =
            self.domain.prose && instruction_of(purpose, state).is_ok_and(|i| words(i).is_some());
        // After a reply of which nothing could be used, or one that came before, the most likely next one is the same.
        let stuck = talk.turns.split_last().is_some_and(|(last, earlier)| {
            last.refused || earlier.iter().any(|turn| turn.reply == last.reply)
        });
        let again = match purpose {
            // The most likely story has no events.
            Purpose::Plan | Purpose::Replan { .. } if self.domain.prose => Some(TEMPERATURE_AGAIN),
            Purpose::Plan | Purpose::Replan { .. } | Purpose::Review { .. } => {
                (turn > 0).then_some(TEMPERATURE_AGAIN)
            }
            // Of what did not do twice the most likely text is more of the same.
            Purpose::Work { attempt, .. } => {
                let varies = attempt > 1 || stuck || turn >= VARIED_FROM_TURN || self.domain.prose;
                varies.then_some(TEMPERATURE_AGAIN)
            }
            // A test that is written anew has nothing to be different from.
            Purpose::Repair { .. } => work
                .filter(|w| w.tried_all())
                .map(|work| if work.writes_anew() { TEMPERATURE_AGAIN } else { TEMPERATURE_REPAIR }),
            Purpose::Summarise { .. } => None,
        };
        let own = state.start.as_ref().map_or(0, |start| start.seed);
        let again = again.or((own > 0).then_some(TEMPERATURE_SEEDED));
        let greedy = Sampling { seed: purpose.seed(turn, own), ..Sampling::default() };
        let Some(temperature) = again else { return greedy };
        let varied = Sampling { temperature, top_p: TOP_P, ..greedy };
        match purpose {
            // The files of a setup look alike from line to line, as they should.
            Purpose::Work { .. } if is_chapter => {
                Sampling { temperature: PROSE_TEMPERATURE, dry_multiplier: PROSE_DRY_MULTIPLIER, ..varied }
            }
            _ => varied,
        }
    }
}

/// What the model is shown of a reply of its own. One that was cut off is shown by its beginning: nothing of it was used,
/// and a model that sees its own loop writes it again.
fn as_remembered(turn: &Turn) -> &str {
    if turn.finish != Finish::Length {
        return &turn.reply;
    }
    let end = turn.reply.char_indices().nth(CUT_CHARS_MAX).map_or(turn.reply.len(), |(at, _)| at);
    turn.reply[..end].rsplit_once('\n').map_or(&turn.reply[..end], |(lines, _)| lines)
}

/// Whether a task has letters beyond those of alphabets: a book about it may have them, too.
fn is_foreign(task: &str) -> bool {
    task.chars()
        .any(|c| matches!(u32::from(c), 0x2e80..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff | 0x20000..))
}

/// The length that a step's chapter must have.
fn words(instruction: &Instruction) -> Option<(u32, u32)> {
    let of_chapter = |check: &Check| match check.kind {
        CheckKind::Words { min, max, .. } => Some((min, max)),
        _ => None,
    };
    instruction.checks.iter().find_map(of_chapter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_was_cut_is_remembered_by_its_beginning() {
        let turn = |finish, reply: String| Turn {
            reply,
            finish,
            usage: edvac_agents::client::Usage::default(),
            acted: true,
            changed: false,
            refused: true,
            checked: false,
            answer: None,
            answer_tokens: 0,
        };
        let looping = format!("@@ write a.md\nÄ title\n{}", "again and again ".repeat(100));
        assert_eq!(as_remembered(&turn(Finish::Length, looping.clone())), "@@ write a.md\nÄ title");
        assert_eq!(as_remembered(&turn(Finish::Stop, looping.clone())), looping);
        assert_eq!(as_remembered(&turn(Finish::Length, "é".repeat(500))), "é".repeat(CUT_CHARS_MAX));
        assert_eq!(as_remembered(&turn(Finish::Length, String::new())), "");
    }
}
