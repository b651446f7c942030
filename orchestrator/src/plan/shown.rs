//! What a task shows by example becomes checks of the steps that write what is run.

use edvac_agents::roles::{planner, words};
use edvac_memory::ids::RequirementId;
use edvac_memory::program::{Check, CheckKind, Instruction, Requirement};
use edvac_memory::store::path::is_text;

/// Gives each step that changes code the task's examples of what is there by then, and lets every command line of the task
/// start. They go before the tests: nothing that a test asks matters before they hold. A step that writes a text has what the
/// task wants to read in it, and no tests where that is all. Where steps are carried out beside one another, only what a step writes or reads itself is there.
pub(super) fn tell(instructions: &mut [Instruction], task: &str, requirements: &[Requirement], beside: bool) {
    let commands = planner::commands(task);
    let examples = planner::examples(task);
    let caught = words::is_exact(task);
    let mut written: Vec<String> = Vec::new();
    for step in instructions {
        if beside {
            written.clone_from(&step.reads);
        }
        written.extend(step.writes.iter().cloned());
        let is_of_texts = step.writes.iter().all(|path| is_text(path));
        let mut shown = Vec::new();
        let lines = commands.iter().filter(|(file, _)| written.contains(file) && !is_of_texts);
        let lines: Vec<_> = lines.map(|(_, line)| line.clone()).collect();
        if !lines.is_empty() {
            shown.push(Check { kind: CheckKind::Starts { commands: lines, caught }, covers: Vec::new() });
        }
        let is_there = |file: &String| {
            if is_text(file) { step.writes.contains(file) } else { !is_of_texts && written.contains(file) }
        };
        for example in examples.iter().filter(|example| is_there(&example.file)) {
            let is_known = |id: &&_| requirements.iter().any(|r| r.id == **id);
            let covers = example.of.iter().filter(is_known).cloned().collect();
            shown.push(Check { kind: example.check.clone(), covers });
        }
        let is_shown = |id: &RequirementId| shown.iter().any(|check: &Check| check.covers.contains(id));
        if is_of_texts && step.covers.iter().all(is_shown) {
            step.checks.retain(|check| check.kind != CheckKind::Tests);
        }
        let before = step.checks.iter().position(|check| check.kind == CheckKind::Tests);
        let at = before.unwrap_or(step.checks.len());
        step.checks.splice(at..at, shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "Files:\n- `expr.py`: the function `value`\n- `calc.py`: run as `python3 calc.py`\n- `README.md`\n\nR1: `value('1')` is `1`.\nR2: `python3 calc.py 1` prints `1`.\nR3: `README.md` speaks of `calc.py`.\n";

    #[test]
    fn a_step_is_held_against_what_is_there_by_then() {
        let step = |path: &str| Instruction {
            writes: vec![path.to_owned()],
            checks: vec![Check { kind: CheckKind::Tests, covers: Vec::new() }],
            ..Instruction::default()
        };
        let mut steps = ["expr.py", "calc.py", "README.md", "test_calc.py"].map(step);
        let mut beside = steps.clone();
        beside[3].reads.push("expr.py".to_owned());
        steps[2].covers.push("R3".into());
        beside[2].covers.push("R3".into());
        let requirements = ["R1", "R3"].map(|id| Requirement { id: id.into(), text: String::new() });
        tell(&mut steps, TASK, &requirements, false);
        tell(&mut beside, TASK, &requirements, true);
        let told = |step: &Instruction| -> Vec<String> {
            let kind = |check: &Check| match &check.kind {
                CheckKind::Runs { .. } => format!("runs {}", check.covers.len()),
                CheckKind::Starts { commands, .. } => commands.join(", "),
                other => format!("{other:?}"),
            };
            step.checks.iter().map(kind).collect()
        };
        assert_eq!(told(&steps[0]), ["runs 0", "runs 1", "Tests"]);
        let all = ["python3 calc.py, python3 calc.py 1", "runs 0", "runs 1", "runs 0", "Tests"];
        assert_eq!(
            (told(&steps[1]), told(&steps[3])),
            (all.map(str::to_owned).to_vec(), all.map(str::to_owned).to_vec())
        );
        assert_eq!(told(&steps[2]), ["runs 1"], "its words are all that is asked");
        assert_eq!(
            (told(&beside[1]).len(), told(&beside[3])),
            (3, vec!["runs 0".into(), "runs 1".into(), "Tests".into()])
        );
    }
}
