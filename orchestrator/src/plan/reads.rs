//! What a step reads, where the task is its own plan.

use edvac_agents::roles::planner::{self, PlanDraft, StepDraft};
use edvac_memory::store::path::{file_name, is_text, stem};

/// Shorter names of modules are words of any text.
const STEM_CHARS_MIN: usize = 3;

/// Such a plan lets each step read all code before it. Where steps may be carried out at the same time, that is too much: no
/// two of them could be. So one reads only what its description, or a requirement that it is to meet, speaks of: a file or
/// its module by name, or something that the file's own description has in backticks. What is run as a command, and what is
/// written about the project, goes on reading everything.
pub(super) fn narrow(draft: &mut PlanDraft, task: &str) {
    let before = draft.steps.clone();
    for step in &mut draft.steps {
        let is_whole = |path: &String| is_text(path) || planner::is_run(path, task);
        if step.writes.iter().any(is_whole) {
            continue;
        }
        let told = draft.requirements.iter().filter(|(id, _)| step.covers.contains(id));
        let texts: Vec<String> =
            told.map(|(_, text)| text).chain([&step.text]).map(|text| text.to_lowercase()).collect();
        let speaks_of = |name: &str| texts.iter().any(|text| has_word(text, &name.to_lowercase()));
        step.reads.retain(|path| {
            let module = stem(path);
            speaks_of(file_name(path))
                || module.len() >= STEM_CHARS_MIN && speaks_of(module)
                || symbols(&before, path).any(&speaks_of)
        });
    }
}

/// What the description of a file has in backticks.
fn symbols<'a>(steps: &'a [StepDraft], path: &'a str) -> impl Iterator<Item = &'a str> {
    let about = move |line: &'a str| line.strip_prefix("- ")?.strip_prefix(path)?.strip_prefix(": ");
    let lines = steps.iter().flat_map(|step| step.text.lines()).filter_map(about);
    let name =
        |code: &'a str| code.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(name).filter(|name| !name.is_empty())
}

/// Whether a text has a word that is no part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_what_it_is_told_of() {
        let task = "# Shop\n\nFiles:\n- `stock.py`: the class `Stock`\n- `prices.py`: the function `price`\n\
                    - `orders.py`: what a customer takes out of the Stock\n- `bill.py`: adds up\n\
                    - `shop.py`: run as `python3 shop.py`\n- `README.md`\n\n\
                    R1: `Stock.take(name)` takes.\nR2: `price(name)` is a number.\n\
                    R3: `bill.py` adds up what prices.py says.\n";
        let mut draft = planner::settled(task).unwrap();
        for (step, id) in [(0, "R1"), (1, "R2"), (3, "R3")] {
            draft.steps[step].covers.push(id.into());
        }
        narrow(&mut draft, task);
        let reads: Vec<_> = draft.steps.iter().map(|step| step.reads.join(" ")).collect();
        let all = "stock.py prices.py orders.py bill.py";
        assert_eq!(reads, ["", "", "stock.py", "prices.py", all, &format!("{all} shop.py")]);
    }
}
