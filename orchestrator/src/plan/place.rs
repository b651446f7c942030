//! Where files of a plan lie in a project that was there before it.

use std::collections::BTreeSet;

use edvac_agents::roles::planner::PlanDraft;
use edvac_memory::store::path::{file_name, is_test};

/// Gives a bare name the directory that it can only mean: of the one file that is called so, or, where it is a new file of
/// tests, of the one directory in which all tests lie.
pub(super) fn place(draft: &mut PlanDraft, there: &BTreeSet<String>) {
    let dirs: BTreeSet<_> = there.iter().filter(|path| is_test(path)).map(|path| dir_of(path)).collect();
    let tests_in = if dirs.len() == 1 { dirs.first().copied() } else { None };
    let placed = |path: &String| {
        if path.contains('/') || there.contains(path) {
            return None;
        }
        let mut named = there.iter().filter(|other| file_name(other) == path.as_str());
        match (named.next(), named.next()) {
            (Some(one), None) => Some(one.clone()),
            (None, _) if is_test(path) => tests_in.map(|dir| format!("{dir}{path}")),
            _ => None,
        }
    };
    for step in &mut draft.steps {
        for path in step.writes.iter_mut().chain(&mut step.reads) {
            if let Some(better) = placed(path) {
                *path = better;
            }
        }
        let mut seen = BTreeSet::new();
        step.writes.retain(|path| seen.insert(path.clone()));
        step.reads.retain(|path| seen.insert(path.clone()));
    }
}

/// A path's directory with its last slash; empty for the root.
fn dir_of(path: &str) -> &str {
    path.strip_suffix(file_name(path)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use edvac_agents::roles::planner::{Given, StepDraft};

    use super::*;
    use crate::plan::tidy::tidy;

    #[test]
    fn in_a_project_that_is_there_files_are_where_they_are() {
        let there: BTreeSet<_> =
            ["app/a-b.js", "app/x.js", "lib/x.js", "tests/test_a.py"].map(str::to_owned).into();
        let mut draft = PlanDraft {
            steps: vec![
                StepDraft {
                    writes: ["a-b.js", "x.js", "new-one.js", "test_new.py", "app/a-b.js"]
                        .map(str::to_owned)
                        .to_vec(),
                    reads: vec!["lib/x.js".to_owned()],
                    ..StepDraft::default()
                },
                StepDraft { writes: vec!["lib/x.js".to_owned()], ..StepDraft::default() },
            ],
            ..PlanDraft::default()
        };
        tidy(&mut draft, "javascript", Some("Cargo.toml"), "A tool.", &Given::default(), Some(&there));
        assert_eq!(draft.steps[0].writes, ["app/a-b.js", "x.js", "new-one.js", "tests/test_new.py"]);
        assert_eq!(draft.steps[0].reads, ["lib/x.js"], "it was there, whoever changes it later");
    }
}
