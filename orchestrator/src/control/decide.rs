//! What to do next. Read it from the top: each line is a situation and its answer.

use std::collections::BTreeSet;

use edvac_agents::client::Finish;
use edvac_agents::protocol::{Action, blocks};
use edvac_agents::roles::{outliner, planner, repairer};
use edvac_memory::ids::InstructionId;
use edvac_memory::program::validate::validate;
use edvac_memory::program::{Control, Instruction, Program};

use crate::control::budget::{self, Cap, Share};
use crate::control::effect::{Effect, Purpose};
use crate::control::event::{Settlement, StopReason};
use crate::control::once_more::once_more;
use crate::control::parallel::{last_of_several, next_of_several};
use crate::control::state::{Conversation, Ending, RunState, Start, Turn, Work};
use crate::dependencies::Needs;
use crate::domain::Domain;
use crate::plan;

/// Further turns a worker gets when everything passed but no test names one of its requirements.
const COVERAGE_NUDGES_MAX: usize = 2;

/// How often the same packages are tried to be installed until a person takes the run up again.
const INSTALL_TRIES_MAX: u32 = 2;
/// Attempts that the second model has at a step, after those of the run's own.
const SECOND_ATTEMPTS_MAX: u32 = 2;

/// Different lists of packages that a run installs; a model that asks for others every time comes to an end.
const INSTALLS_MAX: usize = 32;

/// How often what was there is looked at; packages that are installed and not found let it be looked at in vain.
const SURVEYS_MAX: u32 = 4;

/// What decisions depend on besides the state; the same for the whole run.
pub struct Rules<'a> {
    /// The run's domain.
    pub domain: &'a Domain,
}

/// The next effects, in order; none when the run is over or stopped.
pub fn decide(state: &RunState, rules: &Rules<'_>) -> Vec<Effect> {
    let Some(start) = &state.start else { return Vec::new() };
    if state.stopped.is_some() || state.is_over() {
        return Vec::new();
    }
    if let Some(why) = budget::time_is_up(state, start) {
        if state.is_parallel() {
            return last_of_several(state, start, &why);
        }
        return vec![at_cap(state, start, why)];
    }
    if let Some(effect) = next_of_survey(state, start) {
        return vec![effect];
    }
    vec![if state.program.is_none() {
        next_of_planning(state, start, rules)
    } else if start.plan_only {
        Effect::Stop { why: StopReason::PlanOnly }
    } else if let Some(instruction) = state.next_instruction() {
        match &instruction.control {
            None if state.is_parallel() => return next_of_several(state, start),
            None => next_of_work(state, start, instruction),
            Some(control) => next_of_control(state, start, instruction.id, control, rules),
        }
    } else if state.final_reports.is_none()
        && let Some(install) = install(state, state.needs.as_ref())
    {
        install
    } else if state.final_reports.is_none() {
        Effect::CheckAll { tree: state.tree.clone().expect("a started run has a tree"), round: state.replans }
    } else if let Some((program, why)) = once_more(state, start).filter(|_| !rules.domain.prose) {
        adopt(state, program, why)
    } else {
        Effect::Finish
    }]
}

/// Before anything else, what was there is looked at; once more where the packages that its tests need were installed since.
fn next_of_survey(state: &RunState, start: &Start) -> Option<Effect> {
    let tree = start.origin.as_ref().and(state.tree.as_ref())?;
    let look = Effect::Survey { tree: tree.clone(), number: state.surveys + 1 };
    let Some(survey) = &state.survey else { return Some(look) };
    // What was changed since is not what was there.
    if !state.settled.is_empty() || survey.tree != *tree {
        return None;
    }
    let install = install(state, survey.needs.as_ref());
    let is_new = survey.needs.as_ref().is_some_and(|needs| {
        !survey.had_packages && state.installs.get(&needs.digest).is_some_and(|install| install.done)
    });
    install.or((is_new && state.surveys < SURVEYS_MAX).then_some(look))
}

fn next_of_planning(state: &RunState, start: &Start, rules: &Rules<'_>) -> Effect {
    let program = |draft, is_last| {
        plan::program(draft, &start.task, rules.domain, &start.limits, state.survey.as_ref(), is_last)
    };
    if let Some(draft) = planner::settled(&start.task).filter(|_| !rules.domain.prose)
        && let Ok(program) = program(draft, true)
    {
        return adopt(state, program, "the task settles it".to_owned());
    }
    let given = planner::given(&start.task).requirements;
    let chapters = plan::outline::chapters(&start.task, rules.domain);
    talk_with_planner(state, start, Purpose::Plan, "planned", |turn, is_last| {
        let draft = match chapters {
            Some(chapters) => outliner::understand(&turn.reply, turn.finish, chapters, &given, is_last),
            None => planner::understand(&turn.reply, turn.finish, &given),
        };
        draft.and_then(|draft| program(draft, is_last))
    })
}

/// A conversation with the planner, until a program comes of it or it has no turn left.
fn talk_with_planner(
    state: &RunState,
    start: &Start,
    purpose: Purpose,
    done: &str,
    understood: impl Fn(&Turn, bool) -> Result<Program, Vec<String>>,
) -> Effect {
    let talk = &state.planning;
    if talk.context.is_none() || state.planning_for != Some(purpose) {
        return Effect::Assemble { purpose };
    }
    let turns = talk.turns.len() as u32;
    let Some(last) = talk.turns.last().filter(|t| t.answer.is_none()) else {
        return call(state, start, talk, purpose, turns);
    };
    let is_last = turns >= start.limits.plan_turns_max;
    match understood(last, is_last) {
        Ok(program) => adopt(state, program, format!("{done} in {turns} turn(s)")),
        Err(problems) if is_last => Effect::Stop { why: StopReason::NoPlan { problems } },
        Err(problems) => Effect::RefusePlan { purpose, turn: turns - 1, problems },
    }
}

/// All replies of a conversation.
fn replies(talk: &Conversation) -> Vec<(&str, Finish)> {
    talk.turns.iter().map(|turn| (turn.reply.as_str(), turn.finish)).collect()
}

fn adopt(state: &RunState, program: Program, why: String) -> Effect {
    Effect::Adopt { program, version: state.program_version + 1, why }
}

/// An instruction that decides is replaced by what follows from what is found; then it is the next one's turn.
fn next_of_control(
    state: &RunState,
    start: &Start,
    id: InstructionId,
    control: &Control,
    rules: &Rules<'_>,
) -> Effect {
    let (Some(program), Some(tree)) = (&state.program, &state.tree) else {
        return Effect::Stop { why: StopReason::Machine { why: "there is no program".to_owned() } };
    };
    let version = state.program_version;
    let answer = state.answer.as_ref().filter(|answer| answer.instruction == id);
    match (control, answer) {
        (Control::Approve { question }, None) => {
            Effect::Stop { why: StopReason::Approval { instruction: id, question: question.clone() } }
        }
        (Control::Approve { .. }, Some(answer)) if answer.approved => {
            adopt(state, program.without(id), format!("a person approved step {id}"))
        }
        (Control::Part { chapters, .. }, _) => {
            let purpose = Purpose::Replan { instruction: id, version };
            let told = plan::outline::ahead(program);
            let told: Vec<_> = told.iter().map(|(title, gist)| format!("{title}: {gist}")).collect();
            talk_with_planner(state, start, purpose, "its chapters were planned", |_, is_last| {
                let found = outliner::understand_part(&replies(&state.planning), *chapters, &told, is_last)?;
                plan::outline::chapters_of(program, id, &found, rules.domain)
            })
        }
        (Control::Chapter { body, .. }, _) => {
            let purpose = Purpose::Replan { instruction: id, version };
            let title = body.first().map_or("a chapter", |whole| &whole.title);
            talk_with_planner(state, start, purpose, &format!("{title} was planned"), |_, is_last| {
                let beats = outliner::understand_chapter(&replies(&state.planning));
                plan::outline::sections(program, id, beats, rules.domain, &start.limits, is_last)
            })
        }
        // What comes is planned again, up to the question and behind it.
        (Control::Approve { .. } | Control::Replan { .. }, _) => {
            let purpose = Purpose::Replan { instruction: id, version };
            let settled: BTreeSet<_> = state.settled.keys().copied().collect();
            let given = &program.requirements;
            let planned = talk_with_planner(state, start, purpose, "planned again", |turn, is_last| {
                let draft = planner::understand(&turn.reply, turn.finish, given)?;
                plan::replanned(
                    draft,
                    &start.task,
                    program,
                    &settled,
                    id,
                    rules.domain,
                    &start.limits,
                    state.survey.as_ref(),
                    is_last,
                )
            });
            match (control, planned) {
                // What was found at the end stands.
                (Control::Replan { shortfall: Some(_), .. }, Effect::Stop { .. }) => {
                    adopt(state, program.without(id), "no plan came of it".to_owned())
                }
                (_, planned) => planned,
            }
        }
        _ => {
            let weighed = state.weighed.as_ref().filter(|(weighed, _)| *weighed == id);
            let Some((_, found)) = weighed else {
                return Effect::Weigh { instruction: id, tree: tree.clone(), version };
            };
            let Some((resolved, why)) = program.resolved(id, found) else {
                let why = format!("what was found for step {id} does not fit it");
                return Effect::Stop { why: StopReason::Machine { why } };
            };
            let problems = problems(&resolved);
            if problems.is_empty() {
                adopt(state, resolved, why)
            } else {
                Effect::Stop { why: StopReason::NoPlan { problems } }
            }
        }
    }
}

/// What makes a program one that cannot go on. A branch that was not taken leaves requirements behind that no step covers:
/// the ledger says so at the end.
fn problems(program: &Program) -> Vec<String> {
    let found = validate(program).into_iter().filter(|p| !p.place.starts_with('R') && p.place != "program");
    found.map(|p| format!("{}: {} {}", p.place, p.what, p.fix)).collect()
}

pub(super) fn next_of_work(state: &RunState, start: &Start, instruction: &Instruction) -> Effect {
    let Some(work) = &state.work else {
        return Effect::Assemble {
            purpose: Purpose::Work { instruction: instruction.id, attempt: 1, restart: 0 },
        };
    };
    if let Some(install) = install(state, work.needs.as_ref()) {
        return install;
    }
    if let Some(effect) = settle_last_turn(state, start, work) {
        return effect;
    }
    if work.passed && (work.unproven.is_empty() || coverage_nudges(work) > COVERAGE_NUDGES_MAX) {
        return commit(state, work, Settlement::Finished, None);
    }
    let limits = state.limits_for(work, &start.limits);
    if let Some(cap) = work.share_used(&state.used_for(work), &limits, Share::of(state, work.instruction)) {
        return if best_is_good(work) {
            commit(state, work, Settlement::Finished, None)
        } else {
            commit(state, work, Settlement::Unfinished, Some(cap))
        };
    }
    if work.talk.context.is_none() {
        return Effect::Assemble { purpose: work.purpose() };
    }
    if let Some(repair) = work.next_repair(&start.limits) {
        let Work { instruction, attempt, .. } = *work;
        return Effect::Assemble { purpose: Purpose::Repair { instruction, attempt, repair } };
    }
    let second_attempts = if start.second.is_some() { SECOND_ATTEMPTS_MAX } else { 0 };
    match work.ending(&start.limits, state.window_tokens(work.purpose())) {
        None => call(state, start, &work.talk, work.purpose(), work.talk.turns.len() as u32),
        Some(Ending::Exhausted) if best_is_good(work) => commit(state, work, Settlement::Finished, None),
        Some(Ending::Exhausted) if work.attempt >= instruction.attempts_max + second_attempts => {
            commit(state, work, Settlement::Unfinished, None)
        }
        Some(_) if work.is_candidate => Effect::Assemble {
            purpose: Purpose::Work { instruction: instruction.id, attempt: work.attempt + 1, restart: 0 },
        },
        Some(_) => sum_up(state, start, work),
    }
}

/// The packages that a tree asks for, where a person allowed it, they are not there yet, and it did not fail too often.
fn install(state: &RunState, needs: Option<&Needs>) -> Option<Effect> {
    let needs = needs.filter(|needs| state.allow_install && !needs.wanted.is_empty())?;
    let known = state.installs.get(&needs.digest);
    let is_settled = known.map_or(state.installs.len() >= INSTALLS_MAX, |install| {
        install.done || install.tries_now >= INSTALL_TRIES_MAX
    });
    let number = known.map_or(0, |install| install.tries) + 1;
    (!is_settled).then(|| Effect::Install { needs: needs.clone(), number })
}

/// Does what the last reply asked for, then checks it if it was handed in (or if there will be no further turn).
fn settle_last_turn(state: &RunState, start: &Start, work: &Work) -> Option<Effect> {
    let last = work.talk.turns.last()?;
    let turn = work.talk.turns.len() as u32 - 1;
    let purpose = work.purpose();
    if !last.acted {
        let understood = match (&work.repair, work.target()) {
            (Some(_), Some((_, place))) => repairer::understand(&last.reply, last.finish, place),
            _ => blocks::understand(&last.reply, last.finish),
        };
        let repeated = work.talk.turns[..turn as usize].iter().any(|t| t.reply == last.reply);
        // A section that is written again comes behind what was there before it, not behind itself.
        let is_section = state.instruction(work.instruction).is_some_and(|i| i.section().is_some());
        let base = state.tree.as_ref().filter(|_| is_section).unwrap_or(&work.tree).clone();
        return Some(Effect::Act { purpose, turn, base, understood, repeated });
    }
    if last.answer.is_some() || last.checked {
        return None;
    }
    Some(if work.review.is_open() {
        ask_reviewer(state, start, work)
    } else {
        Effect::Check { purpose, turn, tree: work.tree.clone(), opinion: work.review.opinion() }
    })
}

/// Before a change that gives up tests is checked, the reviewer says whether they may go.
fn ask_reviewer(state: &RunState, start: &Start, work: &Work) -> Effect {
    let Work { instruction, attempt, ref review, .. } = *work;
    let purpose = Purpose::Review { instruction, attempt, review: review.number };
    match review.talk.context {
        None => Effect::Assemble { purpose },
        Some(_) => call(state, start, &review.talk, purpose, review.talk.turns.len() as u32),
    }
}

fn coverage_nudges(work: &Work) -> usize {
    work.talk.turns.iter().filter(|t| t.checked && !t.refused).count()
}

fn best_is_good(work: &Work) -> bool {
    work.best.as_ref().is_some_and(|b| b.all_passed)
}

fn sum_up(state: &RunState, start: &Start, work: &Work) -> Effect {
    let Work { instruction, attempt, restart, .. } = *work;
    let purpose = Purpose::Summarise { instruction, attempt, restart };
    match &work.summing {
        None => Effect::Assemble { purpose },
        Some(context) => {
            let talk = Conversation { context: Some(context.clone()), turns: Vec::new() };
            call(state, start, &talk, purpose, 0)
        }
    }
}

fn commit(state: &RunState, work: &Work, settlement: Settlement, cut: Option<Cap>) -> Effect {
    let (attempt, tree) = match (&work.best, settlement) {
        // What is finished is what was checked last, unless a better tree was checked before.
        (Some(best), _) => (best.attempt, best.tree.clone()),
        (None, _) => (work.attempt, work.tree.clone()),
    };
    Effect::Commit {
        instruction: work.instruction,
        attempt,
        settlement,
        cut,
        parent: state.head.clone(),
        tree,
        time_s: state.time_ms.div_euclid(1000),
    }
}

/// A model call, unless it could exceed one of the run's limits: what it may cost at most is reserved before it is sent.
fn call(state: &RunState, start: &Start, talk: &Conversation, purpose: Purpose, turn: u32) -> Effect {
    let reserve = start.reserve(talk, state.asks_second(purpose));
    let effect = Effect::Call { purpose, turn, reserve };
    match budget::refusal(state, start, &effect.key(state.epoch), &reserve) {
        None => effect,
        Some(why) => at_cap(state, start, why),
    }
}

/// At a limit what was paid is still made use of: the last reply is carried out and checked, and a tree that is good is
/// committed. Then the run stops, with what is being worked on kept as it is.
pub(super) fn at_cap(state: &RunState, start: &Start, why: StopReason) -> Effect {
    let Some(work) = state.work.as_ref().filter(|work| !work.review.is_open()) else {
        return Effect::Stop { why };
    };
    if let Some(effect) = settle_last_turn(state, start, work) {
        return effect;
    }
    if best_is_good(work) { commit(state, work, Settlement::Finished, None) } else { Effect::Stop { why } }
}

/// Whether a reply hands its work in: it wants nothing back, and it changed something or says it is done.
pub fn hands_in(actions: &[Action]) -> bool {
    let wants_answer = actions.iter().any(Action::is_question);
    let did = actions.iter().any(|a| matches!(a, Action::Edit { .. } | Action::Done { .. }));
    did && !wants_answer
}

#[cfg(test)]
#[path = "decide_tests.rs"]
pub(crate) mod tests;
