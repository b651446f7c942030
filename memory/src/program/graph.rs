//! Which instructions stand on which: found by what they declare to read and write. Two that do not stand on one another can
//! be carried out at the same time, each on files that the other one does not change.

use super::validate::paths;
use super::{CheckKind, Instruction, Program};
use crate::store::path::file_name;

/// Files that say how the rest is built and run, by their names: every instruction reads them without saying so.
const READ_BY_ALL: [&str; 11] = [
    "Cargo.toml",
    "build.rs",
    "conftest.py",
    "go.mod",
    "package.json",
    "pyproject.toml",
    "pytest.ini",
    "requirements.txt",
    "setup.cfg",
    "setup.py",
    "tsconfig.json",
];

impl Program {
    /// For each instruction the last one before it that it stands on, by their places; none where it stands on none. Takes
    /// time quadratic in the instructions.
    pub fn stands_on(&self) -> Vec<Option<usize>> {
        let all = &self.instructions;
        all.iter()
            .enumerate()
            .map(|(at, later)| all[..at].iter().rposition(|earlier| later.stands_on(earlier)))
            .collect()
    }
}

impl Instruction {
    /// Whether this instruction may only begin when `earlier`, which comes before it in the program, has ended: one of them
    /// changes what the other one reads or changes, or it is not declared what they change.
    ///
    /// A small planner forgets what a step reads; so a file that its text names counts as well.
    pub fn stands_on(&self, earlier: &Self) -> bool {
        self.is_barrier()
            || earlier.is_barrier()
            || overlap(&earlier.writes, &self.uses())
            || overlap(&self.writes, &earlier.uses())
            || earlier.writes.iter().any(|path| self.names(path))
            || self.is_of_crate_of(earlier)
            || self.is_prose() && earlier.is_prose()
    }

    /// Whether nothing before it may still be in progress when it begins, nor it when something after it does: it decides what
    /// comes next, says nothing of what it writes, or changes what all others read.
    fn is_barrier(&self) -> bool {
        let is_read_by_all = |path: &String| READ_BY_ALL.contains(&file_name(path));
        self.control.is_some()
            || self.writes.is_empty()
            || !self.retires.is_empty()
            || self.writes.iter().any(is_read_by_all)
    }

    /// Files that it declares to read or write, or that its checks are about.
    pub fn uses(&self) -> Vec<String> {
        let checked = self.checks.iter().flat_map(|check| paths(&check.kind)).map(str::to_owned);
        self.reads.iter().chain(&self.writes).cloned().chain(checked).collect()
    }

    /// Whether its text, or a command of its checks, speaks of a file by its name.
    fn names(&self, path: &str) -> bool {
        let commands = self.checks.iter().flat_map(|check| match &check.kind {
            CheckKind::Runs { command, .. } | CheckKind::Golden { command: Some(command), .. } => {
                std::slice::from_ref(command)
            }
            CheckKind::Starts { commands, .. } => commands,
            CheckKind::Http { start, .. } => std::slice::from_ref(start),
            _ => &[],
        });
        let mut texts = [&self.title, &self.text].into_iter().chain(commands);
        texts.any(|text| speaks_of(text, file_name(path)))
    }

    /// Whether both write into one crate: there a file has to be named in another one before it is a part of the program.
    fn is_of_crate_of(&self, other: &Self) -> bool {
        let crates = |of: &Self| -> Vec<String> { of.writes.iter().filter_map(|p| crate_of(p)).collect() };
        let own = crates(self);
        crates(other).iter().any(|one| own.contains(one))
    }

    /// Whether its text is held against the texts before it, chapter by chapter.
    fn is_prose(&self) -> bool {
        let compares =
            |kind: &CheckKind| matches!(kind, CheckKind::Words { .. } | CheckKind::Repetition { .. });
        self.checks.iter().any(|check| compares(&check.kind))
    }
}

/// The directory of the crate that a file of Rust belongs to.
fn crate_of(path: &str) -> Option<String> {
    if !path.ends_with(".rs") {
        return None;
    }
    let is_part = |part: &&str| matches!(*part, "src" | "tests" | "benches" | "examples");
    let dir: Vec<_> = path.split('/').take_while(|part| !is_part(part)).collect();
    // A file outside those directories belongs to the crate of its own directory.
    let is_inside = dir.len() < path.split('/').count();
    Some(if is_inside { dir.join("/") } else { dir[..dir.len() - 1].join("/") })
}

/// Whether a path of the one list is, or lies in, or holds one of the other.
fn overlap(some: &[String], others: &[String]) -> bool {
    let holds = |dir: &str, path: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let meet = |a: &str, b: &str| a == b || holds(a, b) || holds(b, a);
    some.iter().any(|a| others.iter().any(|b| meet(a, b)))
}

/// Whether a text has a name as a word of its own.
fn speaks_of(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|c| is_part(c) || c == '.') && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::InstructionId;
    use crate::program::{Check, Control, Retirement};

    fn step(writes: &[&str], reads: &[&str], text: &str) -> Instruction {
        let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        Instruction {
            text: text.to_owned(),
            writes: owned(writes),
            reads: owned(reads),
            ..Instruction::default()
        }
    }

    fn with_check(kind: CheckKind, step: Instruction) -> Instruction {
        Instruction { checks: vec![Check { kind, covers: vec![] }], ..step }
    }

    fn check(steps: Vec<Instruction>, expected: &[Option<usize>]) {
        let program = Program { instructions: steps, ..Program::default() };
        assert_eq!(program.stands_on(), expected, "{program:?}");
    }

    #[test]
    fn modules_that_know_nothing_of_each_other_stand_on_nothing() {
        check(
            vec![
                step(&["a.py", "test_a.py"], &[], "Write a."),
                step(&["b.py", "test_b.py"], &[], "Write b."),
                step(&["c.py", "test_c.py"], &["a.py"], "Write c."),
                step(&["cli.py"], &["a.py", "b.py"], "Write the command line."),
                step(&["README.md"], &[], "Tell how cli.py is used."),
            ],
            &[None, None, Some(0), Some(1), Some(3)],
        );
    }

    #[test]
    fn what_changes_what_another_one_uses_waits() {
        for (earlier, later) in [
            (step(&["a"], &[], ""), step(&["a"], &[], "")),
            (step(&["b"], &["a"], ""), step(&["a"], &[], "")),
            (step(&["lib"], &[], ""), step(&["lib/x.py"], &[], "")),
            (step(&["a.py"], &[], ""), step(&["b.py"], &[], "It calls `a.py`.")),
            (step(&["src/a.rs"], &[], ""), step(&["src/b/c.rs"], &[], "")),
            (step(&["src/a.rs"], &[], ""), step(&["tests/x.rs"], &[], "")),
            (
                step(&["x.py"], &[], ""),
                with_check(
                    CheckKind::Http { start: "python3 x.py".into(), port: 8000, requests: vec![] },
                    step(&["y.py"], &[], ""),
                ),
            ),
            (
                step(&["canon.md"], &[], ""),
                with_check(
                    CheckKind::Canon { path: "one.md".into(), canon: "canon.md".into() },
                    step(&["one.md"], &[], ""),
                ),
            ),
        ] {
            check(vec![earlier, later], &[None, Some(0)]);
        }
        let chapter = |path: &str| {
            let words = CheckKind::Words { path: path.into(), section: None, min: 1, max: 2 };
            with_check(words, step(&[path], &["canon.md"], ""))
        };
        check(vec![chapter("one.md"), chapter("two.md")], &[None, Some(0)]);
        let apart = [(&["data.py"][..], "It calls `a.py`."), (&["b/src/x.rs"], ""), (&["a.python"], "")];
        for (writes, text) in apart {
            check(vec![step(&["py", "src/x.rs"], &[], ""), step(writes, &[], text)], &[None, None]);
        }
    }

    #[test]
    fn what_is_not_declared_lets_nothing_pass() {
        let approve = Control::Approve { question: "Good?".into() };
        let retires = vec![Retirement { test: "t".into(), reason: "r".into() }];
        for barrier in [
            Instruction { control: Some(approve), ..Instruction::default() },
            Instruction { retires, ..step(&["b"], &[], "") },
            step(&[], &["x"], "Mend what is wrong."),
            step(&["sub/package.json"], &[], ""),
        ] {
            let steps = vec![step(&["a"], &[], ""), barrier, step(&["c"], &[], ""), step(&["d"], &[], "")];
            check(steps, &[None, Some(0), Some(1), Some(1)]);
        }
    }

    fn some_steps() -> impl Strategy<Value = Vec<Instruction>> {
        let file =
            || prop::sample::select(vec!["a.py", "b.py", "c/d.py", "c", "Cargo.toml", "src/x.rs", "e.md"]);
        let files = || prop::collection::vec(file(), 0..3);
        let one = (files(), files(), file(), any::<bool>())
            .prop_map(|(writes, reads, named, names)| step(&writes, &reads, if names { named } else { "" }));
        prop::collection::vec(one, 0..9)
    }

    proptest! {
        /// Whatever the steps say: one that begins when the step it stands on has ended, and all before that, sees everything
        /// that an earlier step changes and it uses, and nobody in progress beside it changes or uses what it changes.
        #[test]
        fn steps_side_by_side_do_not_meet(steps in some_steps()) {
            let all = Program { instructions: steps, ..Program::default() };
            for (at, stands_on) in all.stands_on().into_iter().enumerate() {
                let first_beside = stands_on.map_or(0, |on| on + 1);
                prop_assert!(first_beside <= at, "it stands on what comes before it");
                for beside in &all.instructions[first_beside..at] {
                    let step = &all.instructions[at];
                    prop_assert!(!step.stands_on(beside));
                    prop_assert!(!overlap(&step.writes, &beside.uses()) && !overlap(&beside.writes, &step.uses()));
                    prop_assert!(!step.writes.is_empty() && !beside.writes.is_empty(), "both say what they write");
                }
            }
        }

        /// Numbers and titles of files aside, the order in which independent steps stand does not change what they stand on.
        #[test]
        fn numbers_do_not_matter(steps in some_steps()) {
            let numbered = |from: u32| {
                let ids = (from..).map(InstructionId);
                let instructions = steps.iter().zip(ids).map(|(step, id)| Instruction { id, ..step.clone() });
                Program { instructions: instructions.collect(), ..Program::default() }.stands_on()
            };
            prop_assert_eq!(numbered(1), numbered(70));
        }
    }
}
