//! The regular expressions of checks: those that cannot be used are found before a run begins.

use edvac_memory::program::{CheckKind, Program, validate::Problem};
use regex::{Regex, RegexBuilder};

/// Size up to which a compiled expression may grow.
const BYTES_MAX: usize = 1 << 20;

/// The expression that a text is to match, or why there is none, in one line.
pub(super) fn compiled(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(BYTES_MAX).build().map_err(|error| in_a_line(&error.to_string()))
}

/// What is wrong with the expressions of a program's checks.
pub fn unusable(program: &Program) -> Vec<Problem> {
    let mut found = Vec::new();
    for instruction in &program.instructions {
        for (check, number) in instruction.checks.iter().zip(1..) {
            for pattern in patterns(&check.kind) {
                let Err(why) = compiled(pattern) else { continue };
                found.push(Problem {
                    place: format!("step {}, check {number}", instruction.id),
                    what: format!("The expression /{pattern}/ cannot be used: {why}."),
                    fix: "Mend it, with \\ before a sign that means itself; `contains` asks for a text as it stands.".to_owned(),
                });
            }
        }
    }
    found
}

fn patterns(kind: &CheckKind) -> Vec<&str> {
    match kind {
        CheckKind::Runs { output, .. } => output.matches.as_deref().into_iter().collect(),
        CheckKind::Http { requests, .. } => {
            requests.iter().filter_map(|request| request.expect.matches.as_deref()).collect()
        }
        _ => Vec::new(),
    }
}

/// The parser draws its error below the expression; in a line there is room for the character's number.
fn in_a_line(error: &str) -> String {
    /// Blanks before the expression in the drawing.
    const INDENT: usize = 4;
    let mark = error.lines().find(|line| line.contains('^') && line.trim().chars().all(|c| c == '^'));
    let last = error.lines().next_back().unwrap_or_default();
    let what = last.strip_prefix("error: ").unwrap_or(last).trim();
    match mark.and_then(|line| line.find('^')) {
        Some(at) => format!("{what}, at character {}", at.saturating_sub(INDENT) + 1),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use edvac_memory::ids::InstructionId;
    use edvac_memory::program::{Check, Instruction};

    use super::*;

    fn problems(check: &str) -> Vec<Problem> {
        let check: Check = toml::from_str(check).unwrap();
        let instruction = Instruction {
            id: InstructionId(3),
            title: "Add".into(),
            text: "Write add.".into(),
            covers: vec![],
            reads: vec![],
            writes: vec![],
            checks: vec![check],
            retires: vec![],
            attempts_max: 3,
            ..Instruction::default()
        };
        unusable(&Program { instructions: vec![instruction], ..Program::default() })
    }

    #[test]
    fn an_expression_that_cannot_be_used_is_named_with_its_place() {
        let runs =
            |pattern: &str| format!("kind = 'runs'\ncommand = 'x'\noutput = {{ matches = '{pattern}' }}");
        assert_eq!(problems(&runs("[0-9]+")), []);
        let found = problems(&runs("a(b"));
        assert_eq!(found[0].place, "step 3, check 1");
        assert_eq!(found[0].what, "The expression /a(b/ cannot be used: unclosed group, at character 2.");
        let request = "kind = 'http'\nstart = 'x'\nport = 8000\nrequests = [{ path = '/', expect = { matches = '*' } }]";
        assert!(problems(request)[0].what.contains("at character 1"), "{:?}", problems(request));
        assert!(compiled("(a{1000}){1000}").unwrap_err().contains("size limit"));
    }
}
