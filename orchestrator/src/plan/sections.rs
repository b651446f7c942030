//! Chapters are written section by section, each by a step of its own: a small model writes a page well and a chapter badly,
//! and what it has lost the thread of is then a page.

use edvac_agents::roles::planner::StepDraft;
use edvac_memory::program::{Check, CheckKind};

/// Words of a section where the task does not say how long a chapter is: a page that small models stay with.
const WORDS_DEFAULT: (u32, u32) = (80, 200);
/// A section of more words than this is two.
pub(super) const WORDS_MAX: u32 = 240;
/// Most sections that one beat becomes.
const PARTS_MAX: u32 = 12;

/// One section of a chapter.
pub(super) struct Section {
    /// From 1.
    pub number: u32,
    /// Of so many.
    pub of: u32,
    /// A few words.
    pub title: String,
    /// What is told in it.
    pub beat: String,
    /// Fewest and most words.
    pub words: (u32, u32),
}

/// The sections of a chapter's step: one for each beat, or several where the chapter is to be long. `asked` is the length that
/// the task asks for.
pub(super) fn of(step: &StepDraft, asked: Option<(u32, u32)>) -> Vec<Section> {
    let beats = u32::try_from(step.beats.len()).unwrap_or(u32::MAX).max(1);
    let parts = asked.map_or(1, |(min, _)| min.div_ceil(beats * WORDS_MAX).clamp(1, PARTS_MAX));
    let of = beats * parts;
    let words = asked.map_or(WORDS_DEFAULT, |(min, max)| (min.div_ceil(of), max.div_ceil(of)));
    let told: Vec<(String, String)> = step
        .beats
        .iter()
        .flat_map(|beat| (1..=parts).map(move |part| (beat.clone(), named(beat, part, parts))))
        .collect();
    told.iter()
        .zip(1..)
        .map(|((beat, name), number)| Section {
            number,
            of,
            title: format!("{}, section {number}: {name}", step.title),
            beat: beat.clone(),
            words,
        })
        .collect()
}

fn named(beat: &str, part: u32, parts: u32) -> String {
    match (part, parts) {
        (_, 1) => beat.to_owned(),
        (1, _) => format!("{beat}, how it begins"),
        (last, all) if last == all => format!("{beat}, how it ends"),
        (part, parts) => format!("{beat}, part {part} of {parts}"),
    }
}

/// The checks of one section: those of the chapter that hold after every section, and those of its length and beat on the
/// section alone. What is about the whole chapter comes with the last.
pub(super) fn checks(chapter: &[Check], section: &Section, asked: Option<(u32, u32)>) -> Vec<Check> {
    let (last, number) = (section.number == section.of, Some(section.number));
    chapter
        .iter()
        .flat_map(|check| {
            let with = |kind| Check { kind, covers: check.covers.clone() };
            match &check.kind {
                CheckKind::Words { path, .. } => {
                    let (min, max) = section.words;
                    let own = CheckKind::Words { path: path.clone(), section: number, min, max };
                    let whole = asked.filter(|_| last).map(|(min, max)| CheckKind::Words {
                        path: path.clone(),
                        section: None,
                        min,
                        max,
                    });
                    std::iter::once(own).chain(whole).map(with).collect::<Vec<_>>()
                }
                CheckKind::Outline { path, .. } => vec![with(CheckKind::Outline {
                    path: path.clone(),
                    section: number,
                    beats: vec![section.beat.clone()],
                })],
                CheckKind::Headings { path, .. } => {
                    vec![with(CheckKind::Headings { path: path.clone(), sections_min: section.number })]
                }
                _ => vec![check.clone()],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> StepDraft {
        StepDraft {
            title: "Chapter 1".into(),
            text: "Tell how it rains.".into(),
            writes: vec!["src/chapter-01.md".into()],
            beats: vec!["clouds come".into(), "it rains".into()],
            ..StepDraft::default()
        }
    }

    #[test]
    fn each_beat_is_a_section() {
        let sections = of(&step(), None);
        assert_eq!(sections.iter().map(|s| s.beat.as_str()).collect::<Vec<_>>(), ["clouds come", "it rains"]);
        assert_eq!(sections[0].words, WORDS_DEFAULT);
    }

    #[test]
    fn a_long_chapter_has_more_sections_than_beats() {
        let sections = of(&step(), Some((2000, 3000)));
        assert_eq!(sections.len(), 10);
        assert_eq!(sections[0].words, (200, 300));
        assert_eq!(sections[0].title, "Chapter 1, section 1: clouds come, how it begins");
        assert_eq!(sections[4].title, "Chapter 1, section 5: clouds come, how it ends");
        assert_eq!(of(&step(), Some((300, 500))).len(), 2, "short ones are not cut up");
    }

    #[test]
    fn what_is_about_the_whole_chapter_comes_last() {
        let path = || "src/chapter-01.md".to_owned();
        let check = |kind| Check { kind, covers: vec!["R1".into()] };
        let chapter = [
            check(CheckKind::Words { path: path(), section: None, min: 1, max: 2 }),
            check(CheckKind::Headings { path: path(), sections_min: 0 }),
            check(CheckKind::Outline { path: path(), section: None, beats: step().beats }),
            check(CheckKind::Links { path: path() }),
        ];
        let asked = Some((300, 500));
        let sections = of(&step(), asked);
        let of_first = checks(&chapter, &sections[0], asked);
        let of_last = checks(&chapter, &sections[1], asked);
        assert_eq!((of_first.len(), of_last.len()), (4, 5));
        assert_eq!(of_first[0].kind, CheckKind::Words { path: path(), section: Some(1), min: 150, max: 250 });
        assert_eq!(of_last[1].kind, CheckKind::Words { path: path(), section: None, min: 300, max: 500 });
        assert!(of_last.iter().all(|c| c.covers == ["R1".into()]));
    }
}
