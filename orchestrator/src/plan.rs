//! From a planner's draft to a program: the domain adds the checks, the validator has the last word.

use std::collections::BTreeSet;

use edvac_agents::roles::planner::{PlanDraft, StepDraft};
use edvac_memory::ids::InstructionId;
use edvac_memory::program::{Instruction, Program, Requirement, validate::validate};

use crate::control::event::Limits;
use crate::domain::Domain;

/// Builds the program of a draft, or says what is wrong with it, one sentence each, addressed to the planner.
///
/// With `mend`, what can be put right without guessing at meaning is put right instead of refused: a requirement
/// that no step covers is given to the last step, and a step's unknown requirement is dropped. That keeps a weak
/// planner's otherwise usable plan; whether the requirement was met is still found out by checks alone.
pub fn program(
    mut draft: PlanDraft,
    domain: &Domain,
    limits: &Limits,
    mend: bool,
) -> Result<Program, Vec<String>> {
    if mend {
        mend_coverage(&mut draft);
    }
    let language = domain.language(&draft.language).to_owned();
    let program = Program {
        title: draft.title,
        domain: domain.name.clone(),
        requirements: draft.requirements.into_iter().map(|(id, text)| Requirement { id, text }).collect(),
        instructions: draft
            .steps
            .into_iter()
            .zip(1..)
            .map(|(step, number)| instruction(number, step, domain, &language, limits))
            .collect(),
        language,
    };
    let problems = validate(&program);
    if problems.is_empty() {
        Ok(program)
    } else {
        Err(problems.into_iter().map(|p| format!("{}: {} {}", p.place, p.what, p.fix)).collect())
    }
}

fn instruction(
    number: u32,
    step: StepDraft,
    domain: &Domain,
    language: &str,
    limits: &Limits,
) -> Instruction {
    let checks = domain.checks_for(language, &step.writes, &step.covers, &step.beats, step.words);
    Instruction {
        id: InstructionId(number),
        title: step.title,
        text: step.text,
        covers: step.covers,
        reads: step.reads,
        writes: step.writes,
        checks,
        attempts_max: limits.attempts_max,
    }
}

fn mend_coverage(draft: &mut PlanDraft) {
    let known: BTreeSet<_> = draft.requirements.iter().map(|(id, _)| id.clone()).collect();
    for step in &mut draft.steps {
        step.covers.retain(|id| known.contains(id));
    }
    let covered: BTreeSet<_> = draft.steps.iter().flat_map(|s| s.covers.iter().cloned()).collect();
    if let Some(last) = draft.steps.last_mut() {
        last.covers.extend(known.difference(&covered).cloned());
    }
}
