//! Functions to be completed, in the form of HumanEval (Chen et al., "Evaluating Large Language Models Trained on Code", 2021): a
//! line of JSON each, with `task_id`, `prompt`, `entry_point` and `test`. Whoever works on one sees its prompt alone.

use std::path::Path;

use edvac_memory::ids::{Digest, InstructionId};
use edvac_memory::program::{Check, CheckKind, Expected, Instruction, Program, Requirement};
use serde::Deserialize;

use super::{Asked, DOMAIN, Task, TaskError};

/// The file that is asked for.
const FILE: &str = "solution.py";
/// The tests that edvac's worker writes for itself.
const TESTS: &str = "test_solution.py";

#[derive(Deserialize)]
struct Function {
    task_id: String,
    prompt: String,
    entry_point: String,
    test: String,
}

/// Reads the functions of a file. What else a line has, like a solution, is not looked at.
pub fn read(file: &Path) -> Result<Vec<Task>, TaskError> {
    let error = |message: String| TaskError { file: file.display().to_string(), message };
    let text = std::fs::read_to_string(file).map_err(|e| error(e.to_string()))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let tasks: Result<Vec<Task>, _> = lines
        .map(|(line, number)| {
            serde_json::from_str::<Function>(line)
                .map(|function| task(&function))
                .map_err(|e| error(format!("line {number}: {e}")))
        })
        .collect();
    match tasks {
        Ok(tasks) if tasks.is_empty() => Err(error("it has no line".to_owned())),
        other => other,
    }
}

fn task(function: &Function) -> Task {
    let Function { task_id, prompt, entry_point, test } = function;
    let text = format!(
        "Write the file {FILE}. It has the Python function `{entry_point}` below, complete, with this signature, and everything it \
         needs.\n\n{}\n",
        prompt.trim_end()
    );
    let requirement = format!("`{entry_point}` does what its description says.");
    // A program that ends by itself before the test does is not one that passed.
    let mark = Digest::of(format!("{task_id}{test}").as_bytes());
    let hidden = format!("from solution import *\n\n{test}\n\ncheck({entry_point})\nprint(\"{mark}\")\n");
    let check = CheckKind::Runs {
        command: "cat > unseen.py && python3 unseen.py".to_owned(),
        input: Some(hidden),
        exit_status: 0,
        output: Expected { contains: vec![mark.to_string()], ..Expected::default() },
    };
    Task {
        name: task_id.replace(|c: char| !c.is_ascii_alphanumeric(), "-").to_lowercase(),
        program: Some(program(&text, &requirement)),
        text,
        requirements: vec![Asked { id: "R1".to_owned(), text: requirement, checks: vec![check] }],
    }
}

/// There is nothing to plan about one function.
fn program(text: &str, requirement: &str) -> Program {
    let plain = |kind| Check { kind, covers: Vec::new() };
    let path = |path: &str| path.to_owned();
    Program {
        title: "function".to_owned(),
        task: None,
        domain: DOMAIN.to_owned(),
        language: "python".to_owned(),
        requirements: vec![Requirement { id: "R1".into(), text: requirement.to_owned() }],
        instructions: vec![Instruction {
            id: InstructionId(1),
            title: "The function".to_owned(),
            text: format!("{text}\nWrite tests of it with the examples of its description."),
            covers: vec!["R1".into()],
            writes: vec![path(FILE), path(TESTS)],
            checks: vec![
                plain(CheckKind::Exists { path: path(FILE) }),
                plain(CheckKind::Parses { path: path(FILE) }),
                plain(CheckKind::Parses { path: path(TESTS) }),
                plain(CheckKind::Tests),
            ],
            attempts_max: 3,
            ..Instruction::default()
        }],
    }
}

#[cfg(test)]
mod tests {
    use edvac_memory::program::validate::validate;

    use super::*;

    #[test]
    fn the_test_is_seen_by_nobody() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = r#"{"task_id": "HumanEval/7", "prompt": "def add(a, b):\n    \"\"\"Adds.\"\"\"\n", "entry_point": "add", "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n", "canonical_solution": "    return a + b"}"#;
        std::fs::write(file.path(), format!("{line}\n\n{line}\n")).unwrap();
        let tasks = read(file.path()).unwrap();
        assert_eq!((tasks.len(), tasks[0].name.as_str()), (2, "humaneval-7"));
        let program = tasks[0].program.as_ref().unwrap();
        assert_eq!(validate(program), []);
        for text in [&tasks[0].text, &program.instructions[0].text] {
            assert!(
                text.contains("def add(a, b)") && !text.contains("candidate") && !text.contains("return a"),
                "{text}"
            );
        }
        let CheckKind::Runs { input: Some(hidden), output, .. } = &tasks[0].requirements[0].checks[0] else {
            panic!()
        };
        assert!(hidden.contains("check(add)") && hidden.contains(&output.contains[0]), "{hidden}");
        std::fs::write(file.path(), "{\"task_id\": 1}").unwrap();
        assert!(read(file.path()).unwrap_err().to_string().contains("line 1"));
    }
}
