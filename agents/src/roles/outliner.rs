//! The outliner: plans a book that is too long to be planned at once. First its parts; then the chapters of each part, a line each;
//! then, when a chapter's turn comes, what happens in it. A small model that is asked for thirty chapters in a row says the same
//! again and again; of six it knows what to say.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::program::Requirement;
use serde_json::{Value, json};

use crate::client::Finish;
use crate::protocol::grammar::FOREIGN;
use crate::roles::planner::{Headed, PlanDraft};
use crate::roles::words;
use crate::templates::{TemplateError, Templates};

mod asked;

pub use asked::{chapters_asked, words_asked};

/// Most chapters of a book: their files have two digits.
pub const CHAPTERS_MAX: u32 = 99;
/// Chapters of a part.
pub const PART_CHAPTERS: u32 = 6;
/// Most words of a title behind its first, and most characters of a sentence.
const TITLE_WORDS_MORE: usize = 6;
const GIST_CHARS_MAX: usize = 160;
/// Most requirements of an outline.
const REQUIREMENTS_MAX: usize = 8;
/// Most lines of a canon.
const CANON_MAX: usize = 10;
/// Most characters of a name or fact of the canon.
const FACT_CHARS_MAX: usize = 120;
/// Most characters of a beat.
const BEAT_CHARS_MAX: usize = 100;

/// Parts of a book with so many chapters.
pub fn parts(chapters: u32) -> u32 {
    chapters.div_ceil(PART_CHAPTERS)
}

fn rendered(
    parts: &[(FragmentKind, &str, &str)],
    about: &Value,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let one = |(kind, name, reason): &(FragmentKind, &str, &str)| {
        Ok(Fragment::new(*kind, *name, *reason, templates.render(name, about)?, counter))
    };
    parts.iter().map(one).collect()
}

/// The prompt for the outline of a book with so many chapters.
pub fn fragments(
    task: &str,
    chapters: u32,
    given: &[Requirement],
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let about = json!({
        "task": task.trim(), "parts": parts(chapters), "story": words::is_story(task), "given": given,
    });
    let parts_of_prompt = [
        (FragmentKind::System, "prompts/outliner/system.md", "how a book is outlined"),
        (FragmentKind::Task, "prompts/planner/task.md", "what the user asked for"),
        (FragmentKind::Step, "prompts/outliner/step.md", "what is to be done"),
    ];
    rendered(&parts_of_prompt, &about, templates, counter)
}

/// A grammar under which only an outline of so many chapters can be written.
pub fn grammar(chapters: u32, given: usize, foreign: bool) -> String {
    let requirements = if given > 0 { "" } else { "q1 " };
    let not = not(foreign);
    let parts = parts(chapters);
    let heads: String = (1..=parts).map(|n| format!("p{n} ")).collect();
    let mut out = format!(
        r#"start: "TITLE: " NAME "\n" {requirements}canon{{2,{CANON_MAX}}} {heads}"END" "\n"?
canon: "CANON: " TERM ": " FACT "\n"
NAME: /[A-Za-z0-9][A-Za-z0-9 ._\-]{{0,48}}/
TERM: /[^:#*!?@~^ {not}][^:#*!?@~^{not}]{{1,39}}/
FACT: /[^ *{not}][^*{not}]{{7,{FACT_CHARS_MAX}}}/
TEXT: /[^ \-\r\n][^\r\n]{{0,200}}/
{}"#,
        entry_terminals(foreign)
    );
    if given == 0 {
        for n in 1..=REQUIREMENTS_MAX {
            let next = if n < REQUIREMENTS_MAX { format!(" q{}?", n + 1) } else { String::new() };
            let _ = writeln!(out, "q{n}: \"REQUIREMENT R{n}: \" TEXT \"\\n\"{next}");
        }
    }
    for n in 1..=parts {
        let _ = writeln!(out, "p{n}: \"PART {n}: \" HEAD \": \" GIST \"\\n\"");
    }
    out
}

/// The terminals of a part's or a chapter's line: a title of a few words, and a sentence.
fn entry_terminals(foreign: bool) -> String {
    let not = not(foreign);
    format!(
        "HEAD: /[^ :;.?!_{not}]{{1,24}}( [^ :;.?!_{not}]{{1,24}}){{0,{TITLE_WORDS_MORE}}}/\n\
         GIST: /[^ {not}][^{not}]{{8,{GIST_CHARS_MAX}}}/\n"
    )
}

/// What no line has: brackets, line ends, and letters that are not the book's.
fn not(foreign: bool) -> String {
    format!("\\[\\]\\r\\n{}", if foreign { "" } else { FOREIGN })
}

/// The outline in a reply, or what is wrong with it. Fewer parts than there must be are refused, more are left out. Parts that say
/// the same are refused, too, unless nobody can be asked any more.
pub fn understand(
    text: &str,
    finish: Finish,
    chapters: u32,
    given: &[Requirement],
    is_last: bool,
) -> Result<PlanDraft, Vec<String>> {
    if finish != Finish::Stop {
        return Err(vec!["Your outline was cut off. Write shorter lines.".to_owned()]);
    }
    let parts = parts(chapters) as usize;
    let mut draft = PlanDraft {
        requirements: given.iter().map(|r| (r.id.clone(), r.text.clone())).collect(),
        ..PlanDraft::default()
    };
    for (key, value) in text.lines().filter_map(entry) {
        if key == "TITLE" {
            draft.title = value;
        } else if key == "CANON" {
            draft.canon.push(value);
        } else if let Some(number) = key.strip_prefix("REQUIREMENT R").and_then(|n| n.parse::<u32>().ok()) {
            if given.is_empty() {
                draft.requirements.push((format!("R{number}").as_str().into(), value));
            }
        } else if key.starts_with("PART") && draft.parts.len() < parts {
            draft.parts.push(headed(&value));
        }
    }
    let mut problems = Vec::new();
    if draft.title.is_empty() {
        problems.push("The outline has no title. Begin it with a line TITLE: and a short name.".to_owned());
    }
    if draft.requirements.is_empty() {
        problems
            .push("The outline has no requirement. Write each as REQUIREMENT R1: one sentence.".to_owned());
    }
    if draft.parts.len() < parts {
        let count = draft.parts.len();
        problems.push(format!(
            "The outline has {count} parts, {parts} are wanted. Write each as PART 1: title: what it is about."
        ));
    }
    let is_usable = problems.is_empty();
    if new_ones(&draft.parts, &[]).0.len() < draft.parts.len() {
        problems.push("Two parts say the same. Give each a title and a matter of its own.".to_owned());
    }
    if problems.is_empty() || (is_last && is_usable) { Ok(draft) } else { Err(problems) }
}

/// What an outliner sees of a part whose chapters are planned.
pub struct PartView<'a> {
    /// The task, verbatim.
    pub task: &'a str,
    /// The parts that are still to be planned, this one first: title, and what each is about.
    pub parts: &'a [String],
    /// The one that is planned.
    pub part: &'a str,
    /// How many chapters are wanted.
    pub chapters: u32,
}

/// The prompt for the chapters of a part.
pub fn part(
    view: &PartView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let about = json!({
        "task": view.task.trim(), "story": words::is_story(view.task), "parts": view.parts, "part": view.part,
        "chapters": view.chapters,
    });
    let parts_of_prompt = [
        (FragmentKind::System, "prompts/outliner/part_system.md", "how a part is planned"),
        (FragmentKind::Step, "prompts/outliner/part.md", "which part is planned"),
    ];
    rendered(&parts_of_prompt, &about, templates, counter)
}

/// A grammar for so many chapters.
pub fn part_grammar(chapters: u32, foreign: bool) -> String {
    format!(
        "start: chapter{{{chapters},{chapters}}} \"END\" \"\\n\"?\nchapter: \"CHAPTER: \" HEAD \": \" GIST \"\\n\"\n{}",
        entry_terminals(foreign)
    )
}

/// The chapters of a part, from all replies that were given for it: of each matter the first. `told` are those of the parts before,
/// as `title: what it tells`; what says the same is left out, unless nobody can be asked any more and some are missing. They are not
/// shown: a small model that sees chapters writes the same ones.
pub fn understand_part(
    replies: &[(&str, Finish)],
    chapters: u32,
    told: &[String],
    is_last: bool,
) -> Result<Vec<Headed>, Vec<String>> {
    let whole = replies.iter().filter(|(_, finish)| *finish == Finish::Stop);
    let lines = whole.flat_map(|(text, _)| text.lines()).filter_map(entry);
    let all: Vec<_> =
        lines.filter(|(key, _)| key.starts_with("CHAPTER")).map(|(_, value)| headed(&value)).collect();
    let wanted = chapters as usize;
    let (mut found, again) = new_ones(&all, told);
    found.truncate(wanted);
    if is_last {
        let missing = wanted - found.len();
        found.extend(again.into_iter().take(missing));
    }
    if found.len() == wanted {
        return Ok(found);
    }
    let count = found.len();
    Err(vec![format!(
        "There are {count} chapters with a matter of their own, {wanted} are wanted. Write each as CHAPTER: title: what it tells."
    )])
}

/// A line's key in capitals and its value.
fn entry(line: &str) -> Option<(String, String)> {
    let line = line.trim().trim_start_matches(['-', '*', '#', ' ']);
    let (key, value) = line.split_once(':')?;
    let (key, value) = (key.trim_matches(['*', ' ']).to_uppercase(), value.trim_matches(['*', ' ']));
    (!value.is_empty()).then(|| (key, value.to_owned()))
}

fn headed(value: &str) -> Headed {
    let (title, gist) = value.split_once(':').unwrap_or((value, value));
    // Where the outline ends, a small model forgets the line's end.
    let gist = gist.trim().trim_end_matches(" END").trim_end();
    Headed { title: title.trim_matches(['"', ' ']).to_owned(), gist: gist.to_owned() }
}

/// The entries that say what none before them and none of those `told` says, and the others.
fn new_ones(all: &[Headed], told: &[String]) -> (Vec<Headed>, Vec<Headed>) {
    let plain = |text: &str| text.trim_end_matches('.').to_lowercase();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for earlier in told.iter().map(|told| headed(told)) {
        known.extend([plain(&earlier.title), plain(&earlier.gist)]);
    }
    let is_new = |entry: &&Headed| {
        let said = [plain(&entry.title), plain(&entry.gist)];
        let is_new = !said.iter().any(|said| known.contains(said)) && !entry.title.contains("END");
        known.extend(said);
        is_new
    };
    let (new, again): (Vec<_>, Vec<_>) = all.iter().partition(is_new);
    (new.into_iter().cloned().collect(), again.into_iter().cloned().collect())
}

/// What an outliner sees of a chapter whose turn has come.
pub struct ChapterView<'a> {
    /// The task, verbatim.
    pub task: &'a str,
    /// Its title.
    pub title: &'a str,
    /// What it tells.
    pub gist: &'a str,
    /// What happened in the chapters before, beat by beat, the last one last. Only stories go on from there; what a small model sees
    /// of other matters it plans again.
    pub told: &'a [String],
    /// The canon.
    pub canon: &'a str,
    /// How many beats are wanted.
    pub beats: u32,
}

/// The prompt for the beats of a chapter.
pub fn chapter(
    view: &ChapterView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let is_story = words::is_story(view.task);
    let about = json!({
        "task": view.task.trim(), "story": is_story, "canon": view.canon.trim(), "title": view.title, "gist": view.gist,
        "told": if is_story { view.told } else { &[] }, "beats": view.beats,
    });
    let parts_of_prompt = [
        (FragmentKind::System, "prompts/outliner/chapter_system.md", "how a chapter is planned"),
        (FragmentKind::Step, "prompts/outliner/chapter.md", "which chapter is planned"),
    ];
    rendered(&parts_of_prompt, &about, templates, counter)
}

/// A grammar for so many beats.
pub fn chapter_grammar(beats: u32, foreign: bool) -> String {
    let not = not(foreign);
    format!(
        "start: beat{{{beats},{beats}}} \"END\" \"\\n\"?\nbeat: \"BEAT: \" TEXT \"\\n\"\n\
         TEXT: /[^ \\-;{not}][^;{not}]{{7,{BEAT_CHARS_MAX}}}/\n"
    )
}

/// The beats in all replies that were given for a chapter, in order.
pub fn understand_chapter(replies: &[(&str, Finish)]) -> Vec<String> {
    let whole = replies.iter().filter(|(_, finish)| *finish == Finish::Stop);
    let lines = whole.flat_map(|(text, _)| text.lines()).filter_map(entry);
    let beats = lines.filter(|(key, _)| key.starts_with("BEAT"));
    beats
        .map(|(_, beat)| beat.trim_end_matches('.').to_owned())
        .filter(|beat| !beat.contains("END"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_outline_is_no_part_of_it() {
        let part = headed("How to Sell: From a stall to the door. END");
        assert_eq!((part.title.as_str(), part.gist.as_str()), ("How to Sell", "From a stall to the door."));
    }

    #[test]
    fn outlines_have_all_their_parts() {
        let text = "TITLE: bread\nREQUIREMENT R1: It is about bread.\nCANON: Levain: the starter that raises the dough.\n\
                    PART 1: Flour: What flour is.\nPART 2: \"Water\": Why water matters.\nEND\n";
        let draft = understand(text, Finish::Stop, 12, &[], false).unwrap();
        let part = |title: &str, gist: &str| Headed { title: title.into(), gist: gist.into() };
        assert_eq!(draft.parts, [part("Flour", "What flour is."), part("Water", "Why water matters.")]);
        assert_eq!(draft.canon, ["Levain: the starter that raises the dough."]);
        assert_eq!((draft.title.as_str(), draft.requirements.len()), ("bread", 1));
        let few = understand(text, Finish::Stop, 13, &[], true).unwrap_err();
        assert!(few[0].contains("has 2 parts, 3 are wanted"), "{few:?}");
        assert!(understand(text, Finish::Length, 12, &[], true).is_err());
        let given = [Requirement { id: "R1".into(), text: "Bread.".into() }];
        let draft = understand(text, Finish::Stop, 12, &given, false).unwrap();
        assert_eq!(draft.requirements, [("R1".into(), "Bread.".to_owned())]);
    }

    #[test]
    fn what_says_the_same_is_left_out_while_somebody_can_be_asked() {
        let text = "CHAPTER: Flour: What it is.\nCHAPTER: flour: Why.\nEND\n";
        let of = |replies: &[&str], count, told: &[String], is_last| {
            let replies: Vec<_> = replies.iter().map(|reply| (*reply, Finish::Stop)).collect();
            understand_part(&replies, count, told, is_last)
                .map(|found| found.into_iter().map(|f| f.gist).collect::<Vec<_>>())
        };
        assert!(
            of(&[text], 2, &[], false).unwrap_err()[0]
                .starts_with("There are 1 chapters with a matter of their own")
        );
        assert_eq!(of(&[text], 2, &[], true).unwrap(), ["What it is.", "Why."]);
        let more = "CHAPTER: Water: How much.\nCHAPTER: Salt: when.\n";
        assert_eq!(
            of(&[text, more], 2, &[], false).unwrap(),
            ["What it is.", "How much."],
            "all replies count"
        );
        let told = ["Flour: What it was.".to_owned()];
        assert_eq!(of(&[text, more], 2, &told, false).unwrap(), ["How much.", "when."]);
        assert!(of(&[text], 3, &[], true).is_err(), "one is missing");
    }

    #[test]
    fn beats_are_lines() {
        let replies = [
            ("BEAT: feed the starter.\n- **Beat 2:** wait\nEND\n", Finish::Stop),
            ("feed it", Finish::Stop),
            ("BEAT: x\n", Finish::Length),
            ("BEAT: END, END", Finish::Stop),
        ];
        assert_eq!(understand_chapter(&replies), ["feed the starter", "wait"]);
    }
}
