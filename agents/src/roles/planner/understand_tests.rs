use super::*;

const PLAN: &str = "TITLE: shelf
LANGUAGE: Python
REQUIREMENT R1: `add TEXT` stores a book.
REQUIREMENT R2: `list` prints all books.
STEP 1: Storage
WRITES: storage.py, test_storage.py
READS: -
COVERS: R1
DO: Write the storage.
- `add(path: str, text: str) -> int` returns the number.
- Tests: test_r1_add.
STEP 2: Command line
WRITES: shelf.py
READS: storage.py
COVERS: R1, R2
DO: Write the command line.
END
";

fn ids(of: &[&str]) -> Vec<RequirementId> {
    of.iter().map(|id| RequirementId::from(*id)).collect()
}

fn read(text: &str) -> Result<PlanDraft, Vec<String>> {
    understand(text, Finish::Stop, &[])
}

#[test]
fn a_plan() {
    let plan = read(PLAN).unwrap();
    assert_eq!((plan.title.as_str(), plan.language.as_str()), ("shelf", "python"));
    assert_eq!(plan.requirements[1], ("R2".into(), "`list` prints all books.".to_owned()));
    assert_eq!(plan.steps.len(), 2);
    let [first, second] = &plan.steps[..] else { panic!() };
    assert_eq!(first.writes, ["storage.py", "test_storage.py"]);
    assert!(first.reads.is_empty() && first.covers == ids(&["R1"]));
    assert_eq!(
        first.text,
        "Write the storage.\n- `add(path: str, text: str) -> int` returns the number.\n- Tests: test_r1_add."
    );
    assert_eq!(
        (second.title.as_str(), second.reads.as_slice()),
        ("Command line", &["storage.py".to_owned()][..])
    );
    assert_eq!(second.covers, ids(&["R1", "R2"]));
}

#[test]
fn what_does_not_change_its_meaning() {
    let same = [
        PLAN.replace('\n', "\r\n"),
        format!("Here is the plan:\n```\n{PLAN}```\nTell me if it helps: R9: no.\n"),
        PLAN.replace("TITLE:", "**TITLE:**").replace("STEP 1:", "## Step 1:").replace("WRITES:", "- Writes:"),
        PLAN.replace("REQUIREMENT R1:", "R1:").replace("COVERS: R1, R2", "COVERS: r1 and R02."),
        PLAN.replace("COVERS: R1, R2", "COVERS: all").replace("READS: -", "READS: none"),
        PLAN.replace("READS: storage.py", "READS: ./storage.py.")
            .replace("WRITES: shelf.py", "WRITES: `shelf.py`"),
        PLAN.replace("stores a book.", "stores\na book.").replace("END\n", ""),
    ];
    for text in same {
        assert_eq!(read(&text), read(PLAN), "{text}");
    }
}

#[test]
fn a_plan_of_a_book() {
    let text = "TITLE: a-book\nREQUIREMENT R1: It is a book.\nSTEP 1: Setup\nWRITES: book.toml\nCOVERS: R1\nBEATS: -\n\
                WORDS: -\nDO: Write it.\nSTEP 2: Chapter\nWRITES: src/chapter-01.md\nREADS: book.toml\nCOVERS: R1\n\
                BEATS: Mara climbs; the lamp, which is old, goes out\nWORDS: 600-1200 words\nDO: Tell it.\nEND";
    let plan = read(text).unwrap();
    assert_eq!(plan.language, "");
    assert_eq!((plan.steps[0].beats.len(), plan.steps[0].words), (0, None));
    assert_eq!(plan.steps[1].beats, ["Mara climbs", "the lamp, which is old, goes out"]);
    assert_eq!(plan.steps[1].words, Some((600, 1200)));
}

#[test]
fn what_is_wrong_is_said() {
    let many: String = (1..=41).map(|n| format!("REQUIREMENT R{n}: x\n")).collect();
    let steps: String = (1..=61).map(|n| format!("STEP {n}: x\nWRITES: a.py\nDO: y\n")).collect();
    for (text, words) in [
        (String::new(), "not a plan"),
        ("I will write a plan.".to_owned(), "not a plan"),
        (PLAN.replace("TITLE: shelf\n", ""), "no title"),
        (PLAN.replace("WRITES: shelf.py\n", ""), "Step 2 writes no file"),
        (PLAN.replace("WRITES: shelf.py", "WRITES: -"), "Step 2 writes no file"),
        (PLAN.replace("DO: Write the command line.", ""), "Step 2 does not say what to do"),
        (PLAN.replace("LANGUAGE: Python", "WRITES: a.py"), "before the first step"),
        (PLAN.replace("COVERS: R1\n", "WORDS: many\n"), "WORDS: many cannot be read"),
        (PLAN.replace("COVERS: R1\n", "WORDS: 900-100\n"), "cannot be read"),
        (PLAN.replace("COVERS: R1\n", "WORDS: 1-99999999999999\n"), "cannot be read"),
        (format!("TITLE: x\n{many}STEP 1: x\nWRITES: a.py\nDO: y\n"), "41 requirements"),
        (format!("TITLE: x\nREQUIREMENT R1: x\n{steps}"), "61 steps"),
        ("TITLE: x\nREQUIREMENT R1: x\n".to_owned(), "no step"),
        ("TITLE: x\nSTEP 1: x\nWRITES: a.py\nDO: y\n".to_owned(), "no requirement"),
    ] {
        let problems = read(&text).unwrap_err();
        assert!(problems.iter().any(|p| p.contains(words)), "{words}: {problems:?}");
    }
    assert!(understand(PLAN, Finish::Length, &[]).unwrap_err()[0].contains("shorter"));
    assert!(understand(PLAN, Finish::ContentFilter, &[]).is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(parts in proptest::collection::vec("((TITLE|STEP 1|WRITES|COVERS|WORDS|DO|R1|END|\\*\\*): ?)?\\PC{0,6}\n?", 0..20)) {
        if let Ok(plan) = read(&parts.concat()) {
            assert!(plan.steps.iter().all(|s| !s.writes.is_empty()));
        }
    }
}
