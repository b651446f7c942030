//! Books that are too long to be planned at once: parts, then the chapters of each part, then, when a chapter's turn comes, its
//! beats. So every plan fits into one short reply however long the book is, and what is told next is decided where it is known
//! what was told.

use std::collections::BTreeSet;

use edvac_agents::roles::outliner;
use edvac_agents::roles::planner::{Headed, PlanDraft, StepDraft};
use edvac_memory::ids::InstructionId;
use edvac_memory::program::{CheckKind, Control, Instruction, Program, Requirement};

use super::{Steps, sections, tidy, titled, without_problems};
use crate::control::event::Limits;
use crate::domain::Domain;

/// Chapters up to which a book is planned at once: their plan fits into one reply.
const PLANNED_AT_ONCE_MAX: u32 = 6;
/// Words of a chapter where nobody says how long it is to be.
const WORDS_DEFAULT: (u32, u32) = (900, 1800);
/// How many times as long as its share of a book a chapter may be.
const WORDS_MORE: u32 = 3;
/// Words that a beat is told in: those of a section.
pub const BEAT_WORDS: u32 = sections::WORDS_MAX;
/// Beats of a chapter, fewest and most.
const BEATS: (u32, u32) = (4, 12);
/// Of beats that were told before, the ones that a chapter is planned with.
pub const TOLD_MAX: usize = 24;

/// The chapters that a task's book is outlined with; none where it is planned at once.
pub fn chapters(task: &str, domain: &Domain) -> Option<u32> {
    let outlined = domain.prose && domain.sections && !domain.contents.is_empty();
    outliner::chapters_asked(task).filter(|count| outlined && *count > PLANNED_AT_ONCE_MAX)
}

/// The program of an outline: its parts, whose chapters are planned first, then the setup, which knows all of them, then they
/// themselves.
pub(super) fn program(
    draft: PlanDraft,
    task: &str,
    domain: &Domain,
    limits: &Limits,
    each: Option<u32>,
) -> Result<Program, Vec<String>> {
    let count = chapters(task, domain).unwrap_or(PLANNED_AT_ONCE_MAX + 1);
    let (words_min, words_max) = words(task, count, each);
    let beats = words_min.div_ceil(BEAT_WORDS).clamp(BEATS.0, BEATS.1);
    let covers: Vec<_> = draft.requirements.iter().map(|(id, _)| id.clone()).collect();
    let mut instructions = Vec::new();
    let mut first = 1;
    for (part, number) in draft.parts.iter().zip(1..) {
        // As many chapters as there are, spread evenly.
        let left = u32::try_from(draft.parts.len()).unwrap_or(u32::MAX) + 1 - number;
        let chapters = (count + 1 - first).div_ceil(left.max(1));
        let whole = Instruction {
            id: InstructionId(number * 2),
            title: "Chapter {number}".to_owned(),
            text: "{item}".to_owned(),
            covers: covers.clone(),
            writes: vec![format!("{}-{{number}}.md", domain.chapters)],
            attempts_max: limits.attempts_max,
            ..Instruction::default()
        };
        let control = Control::Part { first, chapters, beats, words_min, words_max, body: vec![whole] };
        instructions.push(Instruction {
            id: InstructionId(number * 2 - 1),
            title: format!("{}: {}", part.title, part.gist),
            control: Some(control),
            ..Instruction::default()
        });
        first += chapters;
    }
    let facts = draft.canon.iter().map(|fact| format!("- {fact}"));
    let setup = StepDraft {
        title: "Setup".to_owned(),
        text: format!(
            "Write the book's settings, its table of contents and its canon.\nThe canon:\n{}\nThe chapters:",
            facts.collect::<Vec<_>>().join("\n")
        ),
        // The files that look alike in every book are those of the setup.
        writes: domain.forms.iter().map(|form| form.path.clone()).collect(),
        ..StepDraft::default()
    };
    let title = titled(&draft.title);
    let setup =
        StepDraft { text: setup.text.replacen('\n', &format!("\nTitle of the book: {title}\n"), 1), ..setup };
    let steps = Steps { domain, language: "", tested: &BTreeSet::new(), limits, asked: Some(words_min) };
    let free = u32::try_from(draft.parts.len()).unwrap_or(u32::MAX) * 2;
    instructions.extend(steps.all(vec![setup], free + 1));
    without_problems(Program {
        title: draft.title,
        task: None,
        domain: domain.name.clone(),
        language: String::new(),
        requirements: draft.requirements.into_iter().map(|(id, text)| Requirement { id, text }).collect(),
        instructions,
    })
}

/// The program with a part gone, its chapters behind all that is there, and their titles told to the step that writes the table
/// of contents.
pub fn chapters_of(
    program: &Program,
    id: InstructionId,
    found: &[Headed],
    domain: &Domain,
) -> Result<Program, Vec<String>> {
    let items: Vec<_> = found.iter().map(|chapter| format!("{}: {}", chapter.title, chapter.gist)).collect();
    let Some(mut chapters) = program.chapters_of(id, &items) else {
        return Err(vec![format!("Step {id} is no part.")]);
    };
    let mut amended = program.without(id);
    let path_of = |i: &Instruction| match &i.control {
        Some(Control::Chapter { body, .. }) => body.first().and_then(|whole| whole.writes.first()).cloned(),
        _ => None,
    };
    let mut before = amended.instructions.last().and_then(path_of);
    let mut titles = Vec::new();
    for (chapter, found) in chapters.iter_mut().zip(found) {
        let path = path_of(chapter);
        let name = path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        titles.push(format!("- {} ({name})", found.title));
        let named = chapter.title.split(':').next().unwrap_or_default().to_owned();
        if let Some(Control::Chapter { body, .. }) = &mut chapter.control {
            body.iter_mut().for_each(|whole| whole.title.clone_from(&named));
            let canon = Some(&domain.canon).filter(|path| !path.is_empty());
            body.iter_mut().for_each(|whole| whole.reads.extend(canon.into_iter().chain(&before).cloned()));
        }
        before = path;
    }
    let setup = amended.instructions.iter_mut().find(|i| i.control.is_none());
    if let Some(setup) = setup {
        setup.text = format!("{}\n{}", setup.text, titles.join("\n"));
    }
    amended.instructions.extend(chapters);
    without_problems(amended)
}

/// The parts whose chapters are not planned yet: the title of each, with what it is about.
pub fn parts(program: &Program) -> Vec<String> {
    let is_part = |i: &&Instruction| matches!(i.control, Some(Control::Part { .. }));
    program.instructions.iter().filter(is_part).map(|i| i.title.clone()).collect()
}

/// Fewest and most words of a chapter. A book that is to have so many words has at least as many.
fn words(task: &str, chapters: u32, each: Option<u32>) -> (u32, u32) {
    let whole = outliner::words_asked(task).map(|words| words.div_ceil(chapters));
    match (each, whole) {
        (Some(each), _) => (each * 2 / 3, each * 3 / 2),
        // So many words at least: more are no fault, and a model that is held to a page writes it again and again.
        (None, Some(share)) => (share, share.saturating_mul(WORDS_MORE)),
        (None, None) => WORDS_DEFAULT,
    }
}

/// The program with a chapter replaced by its sections. Beats that were told before are left out; where too few are left, it says
/// so, unless nobody can be asked any more: then the chapter is told in one beat, its own line.
pub fn sections(
    program: &Program,
    id: InstructionId,
    beats: Vec<String>,
    domain: &Domain,
    limits: &Limits,
    is_last: bool,
) -> Result<Program, Vec<String>> {
    let at = program.instructions.iter().position(|i| i.id == id);
    let found = at.and_then(|at| Some((at, program.instructions[at].control.as_ref()?)));
    let Some((at, Control::Chapter { beats: wanted, words_min, words_max, body })) = found else {
        return Err(vec![format!("Step {id} is no chapter.")]);
    };
    let mut before = told(program);
    before.extend(
        ahead(program).into_iter().flat_map(|(title, gist)| [format!("{title}: {gist}"), title, gist]),
    );
    let mut new: Vec<String> = Vec::new();
    for beat in beats {
        if !before.iter().chain(&new).any(|earlier| tidy::same_event(earlier, &beat)) {
            new.push(beat);
        }
    }
    new.truncate(*wanted as usize);
    if new.len() < BEATS.0.min(*wanted) as usize && !is_last {
        return Err(vec![format!(
            "Only {} of these beats are new. Write {wanted} that neither another chapter nor another line tells.",
            new.len()
        )]);
    }
    let steps = Steps { domain, language: "", tested: &BTreeSet::new(), limits, asked: Some(*words_min) };
    let drafts = body.iter().map(|whole| StepDraft {
        title: whole.title.clone(),
        text: whole.text.clone(),
        writes: whole.writes.clone(),
        reads: whole.reads.clone(),
        covers: whole.covers.clone(),
        beats: if new.is_empty() { vec![whole.text.clone()] } else { new.clone() },
        words: Some((*words_min, *words_max)),
        tests_follow: false,
    });
    let free = program.all().iter().map(|i| i.id.0).max().unwrap_or(0);
    let made = steps.all(drafts.collect(), free + 1);
    let made = made.into_iter().map(|section| Instruction { from: Some(id), ..section });
    let mut amended = program.clone();
    amended.instructions.splice(at..=at, made);
    without_problems(amended)
}

/// What chapters that were planned tell, beat by beat, in order.
pub fn told(program: &Program) -> Vec<String> {
    let checks = program.instructions.iter().flat_map(|i| &i.checks);
    let mut out: Vec<String> = Vec::new();
    for check in checks {
        if let CheckKind::Outline { beats, .. } = &check.kind {
            out.extend(beats.iter().filter(|beat| out.last() != Some(beat)).cloned().collect::<Vec<_>>());
        }
    }
    out
}

/// Chapters that are still to be planned: their titles and what they tell.
pub fn ahead(program: &Program) -> Vec<(String, String)> {
    let bodies = program.instructions.iter().filter_map(|i| match &i.control {
        Some(Control::Chapter { body, .. }) => body.first(),
        _ => None,
    });
    let split = |whole: &Instruction| {
        let (title, gist) = whole.text.split_once(": ").unwrap_or((&whole.title, &whole.text));
        (title.to_owned(), gist.to_owned())
    };
    bodies.map(split).collect()
}

#[cfg(test)]
mod tests {
    use edvac_agents::templates::Templates;

    use super::*;

    const TASK: &str = "A guide of thirty chapters and 60,000 words to bread";

    fn book() -> Domain {
        Domain::load("book", &Templates::load(None).unwrap()).unwrap()
    }

    fn headed(what: &str, n: u32) -> Headed {
        Headed { title: format!("{what} {n}"), gist: format!("what {what} {n} is about") }
    }

    fn outlined() -> Program {
        let draft = PlanDraft {
            title: "all-about-bread".into(),
            requirements: vec![("R1".into(), "It is about bread.".into())],
            canon: vec!["Levain: the starter".into()],
            parts: (1..=5).map(|n| headed("Part", n)).collect(),
            ..PlanDraft::default()
        };
        let mut program = program(draft, TASK, &book(), &Limits::default(), None).unwrap();
        assert_eq!(parts(&program)[4], "Part 5: what Part 5 is about");
        for part in 0..5 {
            let id = program.instructions[0].id;
            let found: Vec<_> = (1..=6).map(|n| headed("Matter", part * 6 + n)).collect();
            program = chapters_of(&program, id, &found, &book()).unwrap();
        }
        program
    }

    #[test]
    fn only_long_books_are_outlined() {
        let book = book();
        assert_eq!(chapters(TASK, &book), Some(30));
        assert_eq!(chapters("A three-chapter story", &book), None);
        let code = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
        assert_eq!(chapters(TASK, &code), None);
    }

    #[test]
    fn an_outline_is_a_setup_and_chapters_whose_turn_comes() {
        let program = outlined();
        assert_eq!(program.instructions.len(), 31);
        let setup = &program.instructions[0];
        assert_eq!(setup.writes, ["book.toml", "src/SUMMARY.md", "src/canon.md"]);
        let told = [
            "Title of the book: All About Bread\n",
            "- Levain: the starter\n",
            "- Matter 1 (chapter-01.md)\n",
        ];
        assert!(told.iter().all(|told| setup.text.contains(told)), "{}", setup.text);
        assert!(setup.text.ends_with("- Matter 30 (chapter-30.md)"), "{}", setup.text);
        let Some(Control::Chapter { beats, words_min, words_max, body }) = &program.instructions[2].control
        else {
            panic!("it is no chapter")
        };
        assert_eq!((*beats, *words_min, *words_max), (9, 2000, 6000));
        assert_eq!(body[0].reads, ["src/canon.md", "src/chapter-01.md"]);
        assert_eq!(ahead(&program)[1], ("Matter 2".to_owned(), "what Matter 2 is about".to_owned()));
    }

    #[test]
    fn a_chapter_becomes_its_sections() {
        let mut program = outlined();
        let beats =
            |from: u32| (from..from + 9).map(|n| format!("feed{n} mix{n} bake{n}")).collect::<Vec<_>>();
        let (domain, limits) = (book(), Limits::default());
        for (at, from) in [(1, 0), (10, 100)] {
            let id = program.instructions[at].id;
            let few = vec!["feed0 mix0 bake0".to_owned(); 3];
            if at > 1 {
                assert!(
                    sections(&program, id, few, &domain, &limits, false).unwrap_err()[0].contains("Only 0")
                );
            }
            program = sections(&program, id, beats(from), &domain, &limits, false).unwrap();
        }
        assert_eq!(program.instructions.len(), 1 + 9 + 9 + 28);
        assert_eq!(told(&program).len(), 18);
        let last = &program.instructions[18];
        assert_eq!(
            (last.section(), last.writes.as_slice()),
            (Some(9), &["src/chapter-02.md".to_owned()][..])
        );
        let kinds: Vec<_> = last.checks.iter().map(|check| &check.kind).collect();
        assert!(
            kinds.contains(&&CheckKind::Words {
                path: "src/chapter-02.md".into(),
                section: None,
                min: 2000,
                max: 6000
            }),
            "the whole chapter's length comes with its last section: {kinds:?}"
        );
        // With nothing new and nobody left to be asked, the chapter's own line is told.
        let id = program.instructions[19].id;
        let told_again = sections(&program, id, beats(0), &domain, &limits, true).unwrap();
        assert!(told_again.instructions.len() > program.instructions.len());
    }
}
