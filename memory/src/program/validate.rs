//! What must hold before a program may start.

use std::collections::BTreeSet;

use super::control::{DEPTH_MAX, ITEMS_LIMIT, ROUNDS_LIMIT};
use super::{CheckKind, Control, Expected, Instruction, Program};
use crate::ids::RequirementId;
use crate::store::path;

/// Most attempts an instruction may be given.
pub const ATTEMPTS_LIMIT: u32 = 20;
/// Most requirements of a program.
pub const REQUIREMENTS_MAX: usize = 200;
/// Most instructions of a program.
pub const INSTRUCTIONS_MAX: usize = 1000;

/// Most steps that a planner may write when it plans again.
pub const STEPS_REPLANNED_LIMIT: u32 = 50;

/// Most chapters of a part.
const CHAPTERS_LIMIT: u32 = 99;
/// Most beats of a chapter.
const BEATS_LIMIT: u32 = 40;

/// Smallest port that an ordinary user may listen on.
const PORT_MIN: u16 = 1024;

/// One thing that is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `step 3`, `R2`, `program`.
    pub place: String,
    /// What is wrong, as a sentence.
    pub what: String,
    /// What to do about it, as a sentence.
    pub fix: String,
}

fn problem(place: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Problem {
    Problem { place: place.into(), what: what.into(), fix: fix.into() }
}

/// Everything that is wrong with `program`; empty when it may run.
pub fn validate(program: &Program) -> Vec<Problem> {
    let mut found = Vec::new();
    shape(program, &mut found);
    let known = requirements(program, &mut found);
    let mut ids = BTreeSet::new();
    for instruction in program.all() {
        if !ids.insert(instruction.id) {
            found.push(problem(
                place(instruction),
                "Its number is used twice.",
                "Give each step its own number.",
            ));
        }
        match &instruction.control {
            None => check_instruction(instruction, &known, &mut found),
            Some(control) => check_control(instruction, control, &mut found),
        }
    }
    found.extend(depth(&program.instructions, 0));
    found.extend(order(program));
    let all = program.all();
    let covered: BTreeSet<_> = all.iter().flat_map(|i| &i.covers).collect();
    for id in known.iter().filter(|id| !covered.contains(id)) {
        found.push(problem(
            id.as_str(),
            "No step covers it.",
            "Name it in COVERS of the step that meets it.",
        ));
    }
    found
}

fn place(instruction: &Instruction) -> String {
    format!("step {}", instruction.id)
}

fn shape(program: &Program, found: &mut Vec<Problem>) {
    if program.title.trim().is_empty() {
        found.push(problem("program", "It has no title.", "Give it a short one."));
    }
    for (name, count, max) in [
        ("requirement", program.requirements.len(), REQUIREMENTS_MAX),
        ("step", program.instructions.len(), INSTRUCTIONS_MAX),
    ] {
        if count == 0 {
            found.push(problem(
                "program",
                format!("It has no {name}."),
                format!("Write at least one {name}."),
            ));
        }
        if count > max {
            found.push(problem(
                "program",
                format!("It has {count} {name}s."),
                format!("At most {max} are allowed."),
            ));
        }
    }
}

fn requirements(program: &Program, found: &mut Vec<Problem>) -> BTreeSet<RequirementId> {
    let mut known = BTreeSet::new();
    for requirement in &program.requirements {
        let id = requirement.id.as_str();
        let well_formed = id.len() > 1 && id.starts_with('R') && id[1..].bytes().all(|b| b.is_ascii_digit());
        if !well_formed {
            found.push(problem(id, "It is not a requirement id.", "Use R1, R2 and so on."));
        }
        if requirement.text.trim().is_empty() {
            found.push(problem(id, "It says nothing.", "Write one sentence."));
        }
        if !known.insert(requirement.id.clone()) {
            found.push(problem(id, "It is given twice.", "Give each requirement its own id."));
        }
    }
    known
}

fn check_instruction(instruction: &Instruction, known: &BTreeSet<RequirementId>, found: &mut Vec<Problem>) {
    let at = place(instruction);
    if instruction.text.trim().is_empty() {
        found.push(problem(&at, "It says nothing to do.", "Write what is to be done."));
    }
    if !(1..=ATTEMPTS_LIMIT).contains(&instruction.attempts_max) {
        found.push(problem(
            &at,
            format!("attempts_max is {}.", instruction.attempts_max),
            format!("Use 1 to {ATTEMPTS_LIMIT}."),
        ));
    }
    let check_covers = instruction.checks.iter().flat_map(|c| &c.covers);
    let unknown: BTreeSet<_> =
        instruction.covers.iter().chain(check_covers).filter(|id| !known.contains(id)).collect();
    for id in unknown {
        found.push(problem(
            &at,
            format!("It covers {id}, which is not a requirement."),
            "Use ids that exist.",
        ));
    }
    let check_paths = instruction.checks.iter().flat_map(|c| paths(&c.kind));
    for name in instruction.reads.iter().chain(&instruction.writes).map(String::as_str).chain(check_paths) {
        if let Err(error) = path::check(name) {
            found.push(problem(&at, format!("{error}."), "Use a path like src/name.py."));
        }
    }
    found.extend(instruction.checks.iter().filter_map(|check| check_kind(&at, &check.kind)));
    for retirement in &instruction.retires {
        if retirement.test.trim().is_empty() {
            found.push(problem(&at, "It gives up a test without a name.", "Name the test as its file does."));
        }
        if retirement.reason.trim().is_empty() {
            let what = format!("It gives up {} and does not say why.", retirement.test);
            found.push(problem(&at, what, "Write a reason, which the reviewer judges."));
        }
    }
}

/// A decision does no work of its own, has a bound, and something to decide about.
fn check_control(instruction: &Instruction, control: &Control, found: &mut Vec<Problem>) {
    let at = place(instruction);
    let Instruction { text, covers, reads, writes, checks, retires, .. } = instruction;
    let paths = covers.is_empty() && reads.is_empty() && writes.is_empty();
    let works_not = text.trim().is_empty() && paths && checks.is_empty() && retires.is_empty();
    if !works_not {
        let what =
            format!("It is a {} and says what to do, cover, read, write, check or retire.", control.name());
        found.push(problem(&at, what, "Say that in the steps of its body."));
    }
    let bound = |name: &str, value: u32, limit: u32| {
        let what = format!("{name} is {value}.");
        (!(1..=limit).contains(&value)).then(|| problem(&at, what, format!("Use 1 to {limit}.")))
    };
    let empty = |body: &[Instruction], name: &str| {
        body.is_empty()
            .then(|| problem(&at, format!("Its {name} is empty."), "Write at least one step into it."))
    };
    match control {
        Control::ForEach { list, items_max, body } => {
            found.extend(bound("items_max", *items_max, ITEMS_LIMIT));
            found.extend(empty(body, "body"));
            if let Err(error) = path::check(list) {
                found.push(problem(
                    &at,
                    format!("{error}."),
                    "Name the file with the list, like outline.md.",
                ));
            }
            let varies = |i: &Instruction| {
                let texts = [&i.title, &i.text].into_iter().chain(&i.writes).chain(&i.reads);
                texts
                    .into_iter()
                    .any(|t| ["{item}", "{number}", "{slug}"].iter().any(|mark| t.contains(mark)))
            };
            if !body.is_empty() && !program_of(body).all().into_iter().any(varies) {
                let fix = "Let {item}, {number} or {slug} stand for what differs.";
                found.push(problem(&at, "Its body says the same for every item.", fix));
            }
        }
        Control::If { condition, then, otherwise } => {
            if then.is_empty() && otherwise.is_empty() {
                found.push(problem(
                    &at,
                    "Neither of its branches has a step.",
                    "Write one, or leave the step out.",
                ));
            }
            found.extend(condition_kind(&at, condition));
        }
        Control::While { condition, rounds_max, body, .. } => {
            found.extend(bound("rounds_max", *rounds_max, ROUNDS_LIMIT));
            found.extend(empty(body, "body"));
            found.extend(condition_kind(&at, condition));
        }
        Control::Part { chapters, beats, words_min, words_max, body, .. } => {
            found.extend(bound("chapters", *chapters, CHAPTERS_LIMIT));
            found.extend(bound("beats", *beats, BEATS_LIMIT));
            found.extend(chapter(&at, *words_min, *words_max, body));
        }
        Control::Chapter { beats, words_min, words_max, body } => {
            found.extend(bound("beats", *beats, BEATS_LIMIT));
            found.extend(chapter(&at, *words_min, *words_max, body));
        }
        Control::Replan { steps_max, .. } => {
            found.extend(bound("steps_max", *steps_max, STEPS_REPLANNED_LIMIT));
        }
        Control::Approve { question } if question.trim().is_empty() => {
            found.push(problem(&at, "It asks a person nothing.", "Write a question."));
        }
        Control::Approve { .. } => {}
    }
}

/// What a chapter is written from.
fn chapter(at: &str, words_min: u32, words_max: u32, body: &[Instruction]) -> Vec<Problem> {
    let mut found = Vec::new();
    if words_min > words_max || words_max == 0 {
        let what = format!("words_min is {words_min} and words_max is {words_max}.");
        found.push(problem(at, what, "Write the fewest and the most words, like 900 and 1800."));
    }
    if body.len() != 1 || body.iter().any(|i| i.control.is_some()) {
        found.push(problem(at, "Its body is not one step.", "Write the chapter as one step into it."));
    }
    found
}

fn program_of(body: &[Instruction]) -> Program {
    Program { instructions: body.to_vec(), ..Program::default() }
}

/// A condition is a check like any other.
fn condition_kind(at: &str, kind: &CheckKind) -> Option<Problem> {
    let bad = paths(kind).into_iter().find_map(|name| path::check(name).err());
    bad.map(|error| problem(at, format!("{error}."), "Use a path like src/name.py."))
        .or_else(|| check_kind(at, kind))
}

/// Control inside of control inside of control is not read by anybody.
fn depth(body: &[Instruction], deep: usize) -> Option<Problem> {
    let inside = |i: &Instruction| -> Option<Problem> {
        let control = i.control.as_ref()?;
        if deep >= DEPTH_MAX {
            let what = format!("It lies inside of {deep} others.");
            return Some(problem(place(i), what, format!("At most {DEPTH_MAX} are allowed.")));
        }
        control.bodies().find_map(|inner| depth(std::slice::from_ref(inner), deep + 1))
    };
    body.iter().find_map(inside)
}

/// Steps that read what only later ones write: of two of them, neither can come first. What no step writes may be there
/// already, and the body of a loop may read what its own later steps wrote a round before.
fn order(program: &Program) -> Vec<Problem> {
    let all = program.all();
    let mut found = Vec::new();
    for (at, instruction) in program.instructions.iter().enumerate() {
        let inside = program_of(std::slice::from_ref(instruction));
        let own: BTreeSet<_> = inside.all().into_iter().map(|i| i.id).collect();
        let before = program_of(&program.instructions[..at]);
        let written: BTreeSet<String> =
            before.all().into_iter().chain(inside.all()).flat_map(|i| i.writes.clone()).collect();
        for reader in inside.all() {
            let list = match &reader.control {
                Some(Control::ForEach { list, .. }) => Some(list),
                _ => None,
            };
            for path in reader.reads.iter().chain(list).filter(|path| !written.contains(*path)) {
                let writer = all.iter().find(|w| w.writes.contains(path) && !own.contains(&w.id));
                if let Some(writer) = writer {
                    let what = format!("It reads {path}, which only step {}, later, writes.", writer.id);
                    found.push(problem(place(reader), what, "Put the step that writes it first."));
                }
            }
        }
    }
    found
}

/// What makes a check one that cannot be executed, or that nothing could fail.
fn check_kind(at: &str, kind: &CheckKind) -> Option<Problem> {
    let empty = |text: &str| text.trim().is_empty();
    match kind {
        CheckKind::Words { min, max, .. } if min > max => {
            Some(problem(at, format!("It wants {min} to {max} words."), "Put the smaller number first."))
        }
        CheckKind::Runs { command: line, .. } | CheckKind::Http { start: line, .. } if empty(line) => {
            Some(problem(at, "A check runs no command.", "Give it a command line."))
        }
        CheckKind::Starts { commands, .. }
            if commands.is_empty() || commands.iter().any(|line| empty(line)) =>
        {
            Some(problem(at, "A check runs no command.", "Give it a command line."))
        }
        CheckKind::Http { requests, .. } if requests.is_empty() => {
            Some(problem(at, "A service is started and asked nothing.", "Give the check a request."))
        }
        CheckKind::Http { requests, .. } if requests.iter().any(|r| !r.path.starts_with('/')) => {
            Some(problem(at, "A request's path does not begin with /.", "Write it without host and port."))
        }
        CheckKind::Http { port, .. } if *port < PORT_MIN => Some(problem(
            at,
            format!("A service is to listen on port {port}."),
            format!("Use {PORT_MIN} or more: the others are not for ordinary users."),
        )),
        CheckKind::Runs { output, .. } if asks_nothing(output) => Some(nothing_asked(at)),
        CheckKind::Http { requests, .. } if requests.iter().any(|r| asks_nothing(&r.expect)) => {
            Some(nothing_asked(at))
        }
        CheckKind::Runs { exit_status, .. } if !(0..=255).contains(exit_status) => {
            Some(problem(at, format!("A check wants exit code {exit_status}."), "Exit codes are 0 to 255."))
        }
        CheckKind::Golden { files, .. } if files.is_empty() => {
            Some(problem(at, "A golden check names no file.", "Say what a file must hold."))
        }
        _ => None,
    }
}

/// Whether an expectation names a text that every output has.
fn asks_nothing(expected: &Expected) -> bool {
    expected.contains.iter().any(String::is_empty) || expected.matches.iter().any(String::is_empty)
}

fn nothing_asked(at: &str) -> Problem {
    problem(at, "A check looks for an empty text, which is in every output.", "Say what must be in it.")
}

/// The files that a check is about.
pub(super) fn paths(kind: &CheckKind) -> Vec<&str> {
    match kind {
        CheckKind::Canon { path, canon } => vec![path, canon],
        CheckKind::Golden { files, .. } => files.keys().map(String::as_str).collect(),
        other => other.path().into_iter().collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ids::InstructionId;
    use crate::program::{Check, Requirement, Retirement};

    pub(in crate::program) fn sample() -> Program {
        Program {
            title: "todo".into(),
            task: None,
            domain: "codebase".into(),
            language: "python".into(),
            requirements: vec![Requirement { id: "R1".into(), text: "It adds.".into() }],
            instructions: vec![Instruction {
                id: InstructionId(1),
                title: "Add".into(),
                text: "Write add.".into(),
                covers: vec!["R1".into()],
                reads: vec![],
                writes: vec!["todo.py".into()],
                checks: vec![
                    Check { kind: CheckKind::Exists { path: "todo.py".into() }, covers: vec![] },
                    Check { kind: CheckKind::Tests, covers: vec!["R1".into()] },
                ],
                retires: vec![],
                attempts_max: 3,
                ..Instruction::default()
            }],
        }
    }

    fn faults(change: impl FnOnce(&mut Program)) -> String {
        let mut program = sample();
        change(&mut program);
        let found: Vec<_> =
            validate(&program).into_iter().map(|p| format!("{}: {}", p.place, p.what)).collect();
        found.join("\n")
    }

    #[test]
    fn a_good_program_has_no_problem() {
        assert_eq!(faults(|_| ()), "");
    }

    #[test]
    fn each_fault_is_named() {
        assert!(faults(|p| p.instructions[0].covers.clear()).contains("R1: No step covers it."));
        assert!(faults(|p| p.instructions[0].covers.push("R9".into())).contains("R9, which is not"));
        assert!(faults(|p| p.instructions[0].writes.push("../x".into())).contains("../x"));
        assert!(faults(|p| p.instructions[0].attempts_max = 0).contains("attempts_max is 0"));
        assert!(faults(|p| p.instructions.clear()).contains("no step"));
        assert!(faults(|p| p.requirements.clear()).contains("no requirement"));
        assert!(faults(|p| p.requirements[0].id = "x".into()).contains("not a requirement id"));
        assert!(faults(|p| p.instructions.push(p.instructions[0].clone())).contains("used twice"));
        assert!(faults(|p| p.title.clear()).contains("no title"));
        let retires = |test: &str, reason: &str| {
            let retirement = Retirement { test: test.into(), reason: reason.into() };
            faults(|p| p.instructions[0].retires.push(retirement))
        };
        assert_eq!(retires("test_r1_x", "R1 says the opposite now."), "");
        assert!(retires("test_r1_x", " ").contains("test_r1_x and does not say why"));
        assert!(retires("", "so").contains("without a name"));
        let words = CheckKind::Words { path: "a.md".into(), section: None, min: 9, max: 1 };
        assert!(faults(|p| p.instructions[0].checks[0].kind = words).contains("9 to 1 words"));
        for (toml, fault) in [
            ("kind = 'runs'\ncommand = ' '", "runs no command"),
            ("kind = 'starts'\ncommands = []", "runs no command"),
            ("kind = 'http'\nstart = 'x'\nport = 8000\nrequests = []", "asked nothing"),
            ("kind = 'http'\nstart = 'x'\nport = 8000\nrequests = [{ path = 'a' }]", "does not begin with /"),
            ("kind = 'http'\nstart = 'x'\nport = 80\nrequests = [{ path = '/' }]", "port 80"),
            ("kind = 'runs'\ncommand = 'x'\nexit_status = 300", "exit code 300"),
            ("kind = 'runs'\ncommand = 'x'\noutput = { contains = [''] }", "an empty text"),
            ("kind = 'golden'\nfiles = {}", "names no file"),
            ("kind = 'golden'\nfiles = { '../x' = '' }", "../x"),
        ] {
            let kind = toml::from_str::<Check>(toml).unwrap().kind;
            let found = faults(|p| p.instructions[0].checks[0].kind = kind);
            assert!(found.contains(fault), "{toml}: {found}");
        }
    }
}
