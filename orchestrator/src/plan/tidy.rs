//! Putting a draft right where there is one right answer.

use std::collections::{BTreeMap, BTreeSet};

use edvac_agents::roles::planner::{PlanDraft, StepDraft};
use edvac_memory::ids::RequirementId;
use similar::TextDiff;

/// Most lines of a step that was put together of several.
pub(super) const STEP_LINES_MAX: usize = 30;
/// Requirements are alike from this share of words in common, in the same order, on.
const ALIKE_MIN: f32 = 0.75;
/// Shorter sentences than this many words differ too much by one word.
const ALIKE_WORDS_MIN: usize = 6;

/// Puts right what every planner of a small model gets wrong now and then and what has one right answer: a Python
/// module whose name cannot be imported, one requirement in several sentences, and steps that only go on with the files of an
/// earlier one, whose worker would have to write them anew.
pub(super) fn tidy(draft: &mut PlanDraft, language: &str) {
    if language == "python" {
        importable(draft);
    }
    merge_alike(draft);
    let mut steps: Vec<StepDraft> = Vec::new();
    for step in std::mem::take(&mut draft.steps) {
        match steps.iter_mut().find(|s| goes_on_with(s, &step)) {
            Some(earlier) => join(earlier, step),
            None => steps.push(step),
        }
    }
    draft.steps = steps;
}

/// Whether `step` writes nothing but what `earlier` writes, and both together are still one step's work.
fn goes_on_with(earlier: &StepDraft, step: &StepDraft) -> bool {
    step.writes.iter().all(|path| earlier.writes.contains(path))
        && earlier.text.lines().count() + step.text.lines().count() <= STEP_LINES_MAX
}

fn join(earlier: &mut StepDraft, step: StepDraft) {
    earlier.title = format!("{}, {}", earlier.title, step.title.to_lowercase());
    earlier.text = format!("{}\n{}", earlier.text.trim_end(), step.text);
    for id in step.covers {
        if !earlier.covers.contains(&id) {
            earlier.covers.push(id);
        }
    }
    for path in step.reads {
        if !earlier.reads.contains(&path) && !earlier.writes.contains(&path) {
            earlier.reads.push(path);
        }
    }
    earlier.beats.extend(step.beats);
}

/// Joins requirements that say almost the same, as small planners do to fill a list: "The file is read with each
/// command", "The file is written with each command". The joined requirement has all their sentences, so nothing that
/// was asked for is lost; what the steps say of the later ones is said of the first.
fn merge_alike(draft: &mut PlanDraft) {
    let mut kept: Vec<(RequirementId, Vec<String>)> = Vec::new();
    let mut became = BTreeMap::new();
    for (id, text) in std::mem::take(&mut draft.requirements) {
        match kept.iter_mut().find(|(_, texts)| alike(&texts[0], &text)) {
            Some((earlier, texts)) => {
                if !texts.iter().any(|t| plain(t) == plain(&text)) {
                    texts.push(text);
                }
                became.insert(id, earlier.clone());
            }
            None => kept.push((id, vec![text])),
        }
    }
    draft.requirements = kept.into_iter().map(|(id, texts)| (id, texts.join(" "))).collect();
    for step in &mut draft.steps {
        let covers = std::mem::take(&mut step.covers);
        for id in covers.into_iter().map(|id| became.get(&id).cloned().unwrap_or(id)) {
            if !step.covers.contains(&id) {
                step.covers.push(id);
            }
        }
        for (id, earlier) in &became {
            let mark = |id: &RequirementId| format!("_{}_", id.as_str().to_lowercase());
            step.text = step.text.replace(&mark(id), &mark(earlier));
        }
    }
}

/// Whether two requirements differ in hardly a word. Those that speak of different commands never do.
fn alike(a: &str, b: &str) -> bool {
    let (a, b) = (plain(a), plain(b));
    if a == b {
        return true;
    }
    let (ours, theirs): (Vec<_>, Vec<_>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
    codes(&a) == codes(&b)
        && ours.len().min(theirs.len()) >= ALIKE_WORDS_MIN
        && TextDiff::from_slices(&ours, &theirs).ratio() >= ALIKE_MIN
}

fn plain(text: &str) -> String {
    text.trim().trim_end_matches('.').to_lowercase()
}

/// What stands in backticks.
fn codes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// `todo-app.py` cannot be imported; `todo_app.py` can. The name changes wherever the plan speaks of it.
fn importable(draft: &mut PlanDraft) {
    let names: BTreeSet<_> = draft
        .steps
        .iter()
        .flat_map(|s| &s.writes)
        .filter(|path| path.ends_with(".py") && file_name(path).contains('-'))
        .map(|path| file_name(path).to_owned())
        .collect();
    for name in names {
        let better = name.replace('-', "_");
        let change = |text: &mut String| *text = text.replace(&name, &better);
        draft.requirements.iter_mut().for_each(|(_, text)| change(text));
        for step in &mut draft.steps {
            change(&mut step.text);
            step.writes.iter_mut().chain(&mut step.reads).for_each(change);
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_requirement_in_several_sentences_is_one() {
        let say = |id: &str, text: &str| (RequirementId::from(id), text.to_owned());
        let mut draft = PlanDraft {
            requirements: vec![
                say("R1", "`add NAME` adds a task to the list."),
                say("R2", "`remove NAME` adds a task to the list."),
                say("R3", "The JSON file is updated with each command."),
                say("R4", "The JSON file is read with each command."),
                say("R5", "the json file is updated with each command"),
                say("R6", "Roman numerals up to 3999 are converted to numbers."),
                say("R7", "Numbers up to 3999 are converted to Roman numerals."),
            ],
            steps: vec![StepDraft {
                text: "Test test_r4_file_is_read, test_r5_again and test_r7_back.".to_owned(),
                covers: ["R1", "R4", "R5", "R7"].map(RequirementId::from).to_vec(),
                ..StepDraft::default()
            }],
            ..PlanDraft::default()
        };
        merge_alike(&mut draft);
        let ids: Vec<_> = draft.requirements.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["R1", "R2", "R3", "R6", "R7"]);
        assert_eq!(
            draft.requirements[2].1,
            "The JSON file is updated with each command. The JSON file is read with each command."
        );
        assert_eq!(draft.steps[0].covers, ["R1", "R3", "R7"].map(RequirementId::from));
        assert_eq!(draft.steps[0].text, "Test test_r3_file_is_read, test_r3_again and test_r7_back.");
    }
}
