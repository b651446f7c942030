//! Reading a plan, tolerant of everything that does not change its meaning.

use edvac_memory::ids::RequirementId;
use edvac_memory::program::Requirement;

use super::{PlanDraft, REQUIREMENTS_MAX, STEPS_MAX, StepDraft};
use crate::client::Finish;

/// The plan of a reply, or what is wrong with it, one sentence each, addressed to the model. Where requirements are given, the
/// plan has these and no others.
pub fn understand(text: &str, finish: Finish, given: &[Requirement]) -> Result<PlanDraft, Vec<String>> {
    let refusal = match finish {
        Finish::Stop => {
            let mut reading = Reading { is_given: !given.is_empty(), ..Reading::default() };
            reading.draft.requirements = given.iter().map(|r| (r.id.clone(), r.text.clone())).collect();
            text.lines().for_each(|line| reading.line(line));
            return reading.finish();
        }
        Finish::Length => {
            "Your plan was too long and was cut off. Write a shorter one: fewer steps, and at most four detail lines \
             for each step."
        }
        Finish::ContentFilter => "Your plan was withheld by the provider. Write it in other words.",
    };
    Err(vec![refusal.to_owned()])
}

/// Where a line without a key of its own belongs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Nowhere,
    Requirement,
    Text,
}

enum Key {
    Title,
    Language,
    Requirement(RequirementId),
    Step,
    OfStep(&'static str),
}

#[derive(Default)]
struct Reading {
    draft: PlanDraft,
    is_given: bool,
    place: Place,
    ended: bool,
    problems: Vec<String>,
}

impl Reading {
    fn line(&mut self, line: &str) {
        let bare = bare(line);
        if self.ended || bare.starts_with("```") {
            return;
        }
        if bare.trim().eq_ignore_ascii_case("end") {
            self.ended = true;
            return;
        }
        match bare.split_once(':').and_then(|(key, value)| Some((key_of(key)?, value.trim()))) {
            Some((key, value)) => self.entry(key, value),
            None => self.continuation(line),
        }
    }

    fn entry(&mut self, key: Key, value: &str) {
        self.place = Place::Nowhere;
        match key {
            Key::Title => value.clone_into(&mut self.draft.title),
            Key::Language => self.draft.language = value.to_lowercase(),
            // Its own words for what is given are not wanted.
            Key::Requirement(_) if self.is_given => {}
            Key::Requirement(id) => {
                self.draft.requirements.push((id, value.to_owned()));
                self.place = Place::Requirement;
            }
            Key::Step => {
                self.draft.steps.push(StepDraft { title: value.to_owned(), ..StepDraft::default() });
            }
            Key::OfStep(name) => self.of_step(name, value),
        }
    }

    fn of_step(&mut self, name: &str, value: &str) {
        let Some(step) = self.draft.steps.last_mut() else {
            return self.problems.push(format!(
                "{name}: stands before the first step. Begin each step with STEP, its number, and a title."
            ));
        };
        match name {
            "WRITES" => step.writes.extend(paths(value)),
            "READS" => step.reads.extend(paths(value)),
            "COVERS" => step.covers = ids(value, &self.draft.requirements),
            "BEATS" => step.beats.extend(list(value, &[';']).map(str::to_owned)),
            "WORDS" => match word_range(value) {
                Ok(words) => step.words = words,
                Err(()) => self.problems.push(format!(
                    "WORDS: {value} cannot be read. Write the fewest and the most words, like WORDS: 600-1200."
                )),
            },
            _ => {
                value.clone_into(&mut step.text);
                self.place = Place::Text;
            }
        }
    }

    fn continuation(&mut self, line: &str) {
        let line = line.trim_end();
        if line.trim().is_empty() {
            return;
        }
        match self.place {
            Place::Text => {
                if let Some(step) = self.draft.steps.last_mut() {
                    append(&mut step.text, "\n", line);
                }
            }
            Place::Requirement => {
                if let Some((_, text)) = self.draft.requirements.last_mut() {
                    append(text, " ", line.trim());
                }
            }
            Place::Nowhere => {}
        }
    }

    fn finish(mut self) -> Result<PlanDraft, Vec<String>> {
        let draft = &self.draft;
        if draft.title.is_empty()
            && (draft.requirements.is_empty() || self.is_given)
            && draft.steps.is_empty()
        {
            return Err(vec![
                "Your reply is not a plan. Begin it with a line TITLE: and a short name.".to_owned(),
            ]);
        }
        let mut problems = std::mem::take(&mut self.problems);
        if draft.title.is_empty() {
            problems.push("The plan has no title. Begin it with a line TITLE: and a short name.".to_owned());
        }
        for (count, max, what, form) in [
            (draft.requirements.len(), REQUIREMENTS_MAX, "requirement", "REQUIREMENT R1: one sentence"),
            (draft.steps.len(), STEPS_MAX, "step", "STEP 1: a few words"),
        ] {
            if count == 0 {
                problems.push(format!("The plan has no {what}. Write each one as {form}."));
            } else if count > max {
                problems.push(format!("The plan has {count} {what}s. Write at most {max}."));
            }
        }
        for (step, number) in draft.steps.iter().zip(1..) {
            if step.writes.is_empty() {
                problems.push(format!(
                    "Step {number} writes no file. Name its files in a line WRITES: after its title."
                ));
            }
            if step.text.trim().is_empty() {
                problems.push(format!("Step {number} does not say what to do. Write it after DO:"));
            }
        }
        if problems.is_empty() { Ok(self.draft) } else { Err(problems) }
    }
}

fn append(text: &mut String, joint: &str, line: &str) {
    if !text.is_empty() {
        text.push_str(joint);
    }
    text.push_str(line);
}

/// The line without what Markdown puts around a key: `**TITLE:** x`, `## STEP 1: y`, `- WRITES: z`. A detail that
/// happens to contain a colon keeps its bullet.
fn bare(line: &str) -> String {
    let line = line.trim().trim_start_matches(['#', '>']).trim_start();
    let is_key = |text: &str| text.split_once(':').is_some_and(|(key, _)| key_of(key).is_some());
    let unlisted = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
    let line = unlisted.filter(|rest| is_key(rest)).unwrap_or(line);
    match line.strip_prefix("**").and_then(|rest| rest.split_once("**")) {
        Some((key, value)) => format!("{key}{value}"),
        None => line.to_owned(),
    }
}

fn key_of(key: &str) -> Option<Key> {
    let key = key.trim().trim_matches('*').to_uppercase();
    let words: Vec<_> = key.split_whitespace().collect();
    match words.as_slice() {
        ["TITLE"] => Some(Key::Title),
        ["LANGUAGE"] => Some(Key::Language),
        ["REQUIREMENT", id] => requirement_id(id).map(Key::Requirement),
        ["STEP", number] if number.bytes().all(|b| b.is_ascii_digit()) => Some(Key::Step),
        [name] => match requirement_id(name) {
            Some(id) => Some(Key::Requirement(id)),
            None => ["WRITES", "READS", "COVERS", "BEATS", "WORDS", "DO"]
                .into_iter()
                .find(|k| k == name)
                .map(Key::OfStep),
        },
        _ => None,
    }
}

/// `R2`, from `R2`, `r2`, `R02`.
fn requirement_id(text: &str) -> Option<RequirementId> {
    let digits = text.strip_prefix(['R', 'r'])?;
    let number: u32 = digits.parse().ok()?;
    Some(RequirementId(format!("R{number}")))
}

fn list<'a>(value: &'a str, separators: &'static [char]) -> impl Iterator<Item = &'a str> {
    value
        .split(separators)
        .map(|item| item.trim().trim_end_matches('.').trim_matches(['`', '"', '\'', ' ']))
        .filter(|item| !matches!(item.to_lowercase().as_str(), "" | "-" | "none" | "n/a" | "nothing"))
}

fn paths(value: &str) -> Vec<String> {
    list(value, &[',', ';']).map(|p| p.strip_prefix("./").unwrap_or(p).to_owned()).collect()
}

fn ids(value: &str, known: &[(RequirementId, String)]) -> Vec<RequirementId> {
    if value.trim().trim_end_matches('.').eq_ignore_ascii_case("all") {
        return known.iter().map(|(id, _)| id.clone()).collect();
    }
    let mut out = Vec::new();
    for id in value.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(requirement_id) {
        if !out.contains(&id) {
            out.push(id);
        }
    }
    out
}

fn word_range(value: &str) -> Result<Option<(u32, u32)>, ()> {
    let numbers = value.split(|c: char| !c.is_ascii_digit()).filter(|s| !s.is_empty());
    let numbers: Vec<u32> = numbers.map(str::parse).collect::<Result<_, _>>().map_err(|_| ())?;
    match numbers.as_slice() {
        [] if list(value, &[',']).next().is_none() => Ok(None),
        [min, max] if min <= max && *max > 0 => Ok(Some((*min, *max))),
        _ => Err(()),
    }
}

#[cfg(test)]
#[path = "understand_tests.rs"]
mod tests;
