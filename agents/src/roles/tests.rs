//! Every prompt as a model gets it. A change of wording is seen here before a model sees it.

use edvac_memory::context::{Fitted, Fragment, FragmentKind};
use edvac_memory::fault::{Fault, Place, PlaceKind};
use edvac_memory::ids::TreeId;
use edvac_memory::index::{Hit, pack};
use edvac_memory::program::{Check, CheckKind, Requirement};
use edvac_memory::verdict::{CheckReport, Limit, Outcome, TestOutcome, Verdict};
use serde_json::json;

use super::worker::{FileView, WorkerView};
use super::{
    coder, feedback, guide, outliner, planner, repairer, reviewer, summariser, tester, tools, worker, writer,
};
use crate::client::Speaker;
use crate::prompt::messages;
use crate::protocol::tool::ToolSpec;
use crate::testing::{Words, program, templates};

const TASK: &str = "A shelf of books that lists them by title.\n";

fn shown(fragments: Vec<Fragment>) -> String {
    let said = messages(&Fitted { fragments, ..Fitted::default() });
    said.iter()
        .map(|m| format!("[{}]\n{}\n", if m.speaker == Speaker::System { "system" } else { "user" }, m.text))
        .collect()
}

#[test]
fn tools_of_other_programs_are_described() {
    let schema = json!({"type": "object", "required": ["words"], "properties": {
        "words": {"type": "string"}, "most": {"type": "integer"},
    }});
    let spec = |name: &str, about: &str, schema| ToolSpec {
        name: name.into(),
        about: about.into(),
        schema,
        repeatable: false,
    };
    let all = [
        spec("shelf.find", "Finds books.\n\n  By their titles.", schema),
        spec("shelf.all", "", json!({"type": "object"})),
        spec("shelf.talk", &"It speaks at length. ".repeat(40), json!({"type": "object", "properties": {}})),
    ];
    let told = tools::fragments(&all, &templates(), &Words).unwrap();
    assert_eq!(
        told.iter().filter_map(tools::told_of).collect::<Vec<_>>(),
        ["shelf.find", "shelf.all", "shelf.talk"]
    );
    let step = Fragment::new(FragmentKind::Step, "step 1", "what is to be done", "Do step 1 now.", &Words);
    insta::assert_snapshot!("tools_of_other_programs", shown([vec![step], told].concat()));
    let planned = tools::for_planner(&all, &templates(), &Words).unwrap().unwrap();
    insta::assert_snapshot!("tools_for_planner", planned.text);
    assert_eq!(tools::named(&all, "Call shelf.find, then shelf.all."), ["shelf.find", "shelf.all"]);
    assert!(tools::named(&all, "shelf.finder and my_shelf.all").is_empty());
    assert!(tools::fragments(&[], &templates(), &Words).unwrap().is_empty());
}

fn hits() -> Vec<Hit> {
    vec![Hit {
        path: "books.py".into(),
        line_first: 3,
        line_last: 4,
        symbol: Some("Book".into()),
        text: "class Book:\n    pass\n".into(),
        score: 1.0,
        reason: "words 1".into(),
    }]
}

fn worker_fragments(domain: &str, language: &str, full: bool) -> Vec<Fragment> {
    let program = program(domain, language);
    let files = [
        FileView::whole("books.py", "class Book:\n    \"\"\"```\"\"\"\n", "the step reads it"),
        FileView::lines("long.py", "a\nb\nc\nd\n", (2, 3), "the step reads it"),
    ]
    .map(|file| file.fragment(&templates(), &Words).unwrap());
    let retrieved = pack(&hits(), 100, &Words);
    let view = WorkerView {
        task: TASK,
        program: &program,
        instruction: &program.instructions[1],
        attempt: if full { 2 } else { 1 },
        grammar: false,
        can_run: full,
        calls: &[],
        tests_run_by: if language == "python" { "python3 -m unittest -v" } else { "" },
        listing: if full { "books.py (2 lines, 30 bytes, step 1): Book\n" } else { "" },
        files: if full { &files } else { &[] },
        existing: false,
        retrieved: if full { &retrieved } else { &[] },
        summary: full.then_some("FOUND: books.py has Book.\nFAILED: nothing\nNEXT: Write shelf.py."),
    };
    worker::fragments(&view, &templates(), &Words).unwrap()
}

#[test]
fn worker_prompts() {
    for (domain, language) in [
        ("codebase", "python"),
        ("codebase", "javascript"),
        ("codebase", "rust"),
        ("codebase", "go"),
        ("book", ""),
        ("custom", ""),
    ] {
        let name = format!("worker_{domain}_{language}").trim_end_matches('_').to_owned();
        insta::assert_snapshot!(name, shown(worker_fragments(domain, language, language == "python")));
    }
}

/// The rules follow the task: what it prints where, and what it reads.
#[test]
fn rules_of_code_have_the_example_that_fits() {
    for language in ["python", "javascript"] {
        for (name, task) in [
            ("exact", "A tool that prints `error: full` to standard error and exits with status 1."),
            ("exact_kept", "A list kept in a JSON file. It prints `error: full` and exits with status 1."),
            ("lines", "A tool that reads commands from standard input."),
        ] {
            let about = json!({
                "fences": true, "language": language, "keeps": super::words::keeps_something(task),
                "exact": super::words::is_exact(task),
                "lines": super::words::reads_lines(task),
            });
            let text = templates().render("domains/codebase/rules.md", &about).unwrap();
            insta::assert_snapshot!(format!("rules_{language}_{name}"), text);
        }
    }
}

/// What a grammar sees to is not shown by examples, whose titles a small model would copy.
#[test]
fn a_book_under_a_grammar_has_no_examples() {
    let about = json!({ "grammar": true, "story": true });
    let bound = templates().render("domains/book/rules.md", &about).unwrap();
    let free =
        templates().render("domains/book/rules.md", &json!({ "grammar": false, "story": true })).unwrap();
    assert!(bound.len() > 400 && free.starts_with(bound.trim_end()));
    assert!(free.contains("@@ write src/chapter-01.md") && !bound.contains("@@ write"));
}

#[test]
fn repairers_are_told() {
    let program = program("codebase", "python");
    let place = |path: &str, text: &str, kind: PlaceKind| Place {
        path: path.to_owned(),
        line_first: 4,
        line_last: 5,
        text: text.to_owned(),
        kind,
        offers: Vec::new(),
        until_failure: String::new(),
    };
    let imports = place("todo.py", "import io\n", PlaceKind::Imports);
    let offering = Place { offers: vec!["import os".into(), "from b import os".into()], ..imports.clone() };
    let code = place("todo.py", "def titles(items):\n    return None\n", PlaceKind::Code);
    let above = "import todo\n".to_owned();
    let test = "def test_r1_titles():\n    assert titles([]) == []\n";
    let test = place("test_todo.py", test, PlaceKind::Expectation { above });
    let above = "import todo\n".to_owned();
    let hollow = place(
        "test_todo.py",
        "def test_r1_titles():\n    assert True\n",
        PlaceKind::Hollow { above, names: vec!["R1".into()] },
    );
    let said = "test_r1_titles failed:\n  File \"test_todo.py\", line 5\nAssertionError: None != []\n";
    for (name, place, anew) in [
        ("repairer_code", &code, false),
        ("repairer_code_anew", &code, true),
        ("repairer_test", &test, false),
        ("repairer_test_anew", &test, true),
        ("repairer_hollow", &hollow, false),
        ("repairer_imports", &imports, false),
        ("repairer_imports_offered", &offering, false),
        ("repairer_told", &code, false),
    ] {
        let told = ["`titles(items)` is sorted.".to_owned(), "Without items it is empty.".to_owned()];
        let others = if place.kind == PlaceKind::Imports {
            vec![test.clone()]
        } else {
            vec![code.clone(), test.clone()]
        };
        let view = repairer::RepairerView {
            instruction: &program.instructions[0],
            requirements: &program.requirements,
            fault: &Fault { said: said.to_owned(), places: others },
            place,
            told: if name == "repairer_told" { &told } else { &[] },
            anew,
        };
        insta::assert_snapshot!(name, shown(repairer::fragments(&view, &templates(), &Words).unwrap()));
    }
}

/// Lines without end do not fill a window.
#[test]
fn what_is_read_has_a_bound() {
    let read = |text: &str, lines| feedback::read(&templates(), "a.js", text, lines, 100).unwrap();
    let many = "0123456789\n".repeat(50);
    assert!(read(&many, None).starts_with("# File a.js, lines 1-9 of 50\n"), "{}", read(&many, None));
    assert!(read(&many, Some((41, 50))).starts_with("# File a.js, lines 41-49 of 50\n"));
    let one = "x".repeat(5000);
    let said = read(&one, None);
    assert!(said.contains("xxx (cut here)") && said.len() < 200, "{said}");
}

/// In a project that was there before.
#[test]
fn prompts_for_existing_projects() {
    let guide = guide::fragment("AGENTS.md", "# Rules\n\nNo tabs.\n", &templates(), &Words).unwrap();
    for language in ["python", "javascript", "rust", "go"] {
        let program = program("codebase", language);
        let view = WorkerView {
            task: TASK,
            program: &program,
            instruction: &program.instructions[1],
            attempt: 1,
            grammar: false,
            can_run: true,
            calls: &[],
            tests_run_by: "make test",
            listing: "books.py (2 lines, 30 bytes): Book\n",
            files: &[],
            existing: true,
            retrieved: &[],
            summary: None,
        };
        let mut fragments = worker::fragments(&view, &templates(), &Words).unwrap();
        fragments.push(guide.clone());
        fragments.sort_by_key(|fragment| fragment.kind);
        insta::assert_snapshot!(format!("worker_existing_{language}"), shown(fragments));
    }
    let rules = planner::PlanRules::new("codebase", &["python".to_owned()], false, 8192);
    let existing = planner::Existing { tests: "Its tests: 3 passed.".to_owned() };
    let rules = planner::PlanRules { existing: Some(existing), ..rules };
    let fragments = planner::fragments(TASK, &rules, &templates(), &Words).unwrap();
    insta::assert_snapshot!("planner_existing", shown(fragments));
    // A domain without words for it has those for new projects.
    let custom = planner::PlanRules { domain: "custom".to_owned(), ..rules };
    planner::fragments(TASK, &custom, &templates(), &Words).unwrap();
}

/// What does not depend on the step is the same text for every step, and comes before all that does.
#[test]
fn steps_share_the_beginning_of_their_prompts() {
    let program = program("codebase", "python");
    let text = |n: usize| {
        let view = WorkerView {
            task: TASK,
            program: &program,
            instruction: &program.instructions[n],
            attempt: 1,
            grammar: false,
            can_run: true,
            calls: &[],
            tests_run_by: "",
            listing: "",
            files: &[],
            existing: false,
            retrieved: &[],
            summary: None,
        };
        shown(worker::fragments(&view, &templates(), &Words).unwrap())
    };
    let (first, second) = (text(0), text(1));
    let common = first.bytes().zip(second.bytes()).take_while(|(a, b)| a == b).count();
    assert!(
        first[..common].ends_with("# Your step now: step "),
        "{}",
        &first[common.saturating_sub(60)..common]
    );
}

#[test]
fn worker_fragments_say_what_they_are() {
    use FragmentKind::*;
    let kinds: Vec<_> = worker_fragments("codebase", "python", true).iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [System, Domain, Task, Program, Listing, File, File, Retrieved, Summary, Step]);
    let all = worker_fragments("codebase", "python", true);
    assert!(all.iter().all(|f| f.tokens > 0 && !f.source.is_empty() && !f.reason.is_empty()));
}

#[test]
fn planner_prompts() {
    let languages = ["python", "javascript", "rust"].map(str::to_owned);
    for (domain, languages, prose) in
        [("codebase", &languages[..], false), ("book", &[], true), ("custom", &[], true)]
    {
        let rules = planner::PlanRules::new(domain, languages, prose, 8192);
        let fragments = planner::fragments(TASK, &rules, &templates(), &Words).unwrap();
        insta::assert_snapshot!(format!("planner_{domain}"), shown(fragments));
    }
}

#[test]
fn replanner_prompt() {
    let program = program("codebase", "python");
    let view = planner::AgainView {
        program: &program,
        done: &[&program.instructions[0]],
        unfinished: &[&program.instructions[1]],
        listing: "shelf.py (12 lines)",
        reason: "Titles are to be sorted.",
    };
    let given = planner::Given { requirements: program.requirements.clone(), ..planner::Given::default() };
    let rules = planner::PlanRules::new("codebase", &["python".to_owned()], false, 8192).with(given);
    let fragments = planner::again(TASK, &view, &rules, &templates(), &Words).unwrap();
    insta::assert_snapshot!("replanner_codebase", shown(fragments));
}

#[test]
fn outliner_prompts() {
    let given = [Requirement { id: "R1".into(), text: "It has twelve chapters.".into() }];
    for (name, task, given) in [
        ("story", "A twelve-chapter story about a fox.", &[][..]),
        ("guide", "A guide to rivers in twelve chapters.", &given[..]),
    ] {
        let outline = outliner::fragments(task, 12, given, &templates(), &Words).unwrap();
        insta::assert_snapshot!(format!("outliner_{name}"), shown(outline));
        let view = outliner::ChapterView {
            task,
            title: "The Ford",
            gist: "Where the water is low.",
            told: &["the spring in the hills".to_owned()],
            canon: "# Canon\n\n- **Ashby**: a village.",
            beats: 4,
        };
        let parts = ["The Spring: where it begins".to_owned(), "The Sea: where it ends".to_owned()];
        let part = outliner::PartView { task, parts: &parts, part: &parts[0], chapters: 6 };
        let part = outliner::part(&part, &templates(), &Words).unwrap();
        insta::assert_snapshot!(format!("outliner_part_{name}"), shown(part));
        let beats = outliner::chapter(&view, &templates(), &Words).unwrap();
        insta::assert_snapshot!(format!("outliner_chapter_{name}"), shown(beats));
    }
}

#[test]
fn writer_prompts() {
    for (name, task, grammar) in
        [("story", "A story about a fox.", true), ("guide", "A guide to rivers.", false)]
    {
        let view = writer::WriterView {
            task,
            path: "src/chapter-02.md",
            chapter: "Tell what happens at the ford.\n- End with the bell.",
            beat: "the bell rings",
            words: (80, 200),
            before: "It had rained for days.\n",
            canon: "# Canon\n\n- **Ford**: where the river is shallow.\n",
            summary: (!grammar).then_some("FAILED: it was too short"),
            grammar,
        };
        insta::assert_snapshot!(
            format!("writer_{name}"),
            shown(writer::fragments(&view, &templates(), &Words).unwrap())
        );
    }
}

#[test]
fn coder_prompts() {
    let task = "# Notes\n\nA tool that keeps notes, run as `python3 notes.py COMMAND`.\n\n## Requirements\n\nR1: `find(text)` in `book.py` returns notes.\nR2: `python3 notes.py list` prints them.\n";
    let functions = ["do_list", "do_add", "main"].map(str::to_owned);
    let offers = [coder::Offers {
        path: "book.py".to_owned(),
        lines: vec![
            "`find(text)`: `find(text)` in `book.py` returns notes.".to_owned(),
            "`Book()`".to_owned(),
        ],
    }];
    for (name, path, language, offers, grammar) in [
        ("run", "notes.py", "python", &offers[..], true),
        ("open", "notes.py", "python", &[][..], false),
        ("part", "book.py", "python", &[][..], false),
        ("javascript", "notes.mjs", "javascript", &[][..], true),
        ("text", "README.md", "python", &offers[1..], true),
    ] {
        let view = coder::CoderView {
            task,
            domain: "codebase",
            language,
            path,
            text: "Write these files:\n- notes.py: the command line",
            functions: if path == "notes.py" { &functions[..] } else { &[] },
            must: if path == "README.md" { &["`README.md` shows each command."][..] } else { &[] },
            on_input: false,
            handed: grammar,
            offers,
            summary: (!grammar).then_some("FAILED: it does not start"),
            grammar,
        };
        insta::assert_snapshot!(
            format!("coder_{name}"),
            shown(coder::fragments(&view, &templates(), &Words).unwrap())
        );
    }
    assert!(coder::is_known("codebase", &templates()) && !coder::is_known("book", &templates()));
}

#[test]
fn testers_are_told() {
    let task = "# Notes\n\nA tool that keeps notes, run as `python3 notes.py COMMAND` or `node notes.mjs COMMAND`.\n\n## Requirements\n\nR1: `find(text)` in `book.py` returns notes.\nR2: `list` prints them.\n";
    let said = [("R2".to_owned(), "`list` prints them.".to_owned())];
    for (name, language, tested) in [
        ("python", "python", "notes.py"),
        ("javascript", "javascript", "notes.mjs"),
        ("python_part", "python", "note_book.py"),
        ("javascript_part", "javascript", "book.mjs"),
    ] {
        let is_part = name.ends_with("part");
        let offers = [coder::Offers {
            path: if is_part { tested.to_owned() } else { String::new() },
            lines: if is_part {
                vec!["`find(text)`".into(), "`Book()`".into(), "`Book.add(text)`".into()]
            } else {
                vec![format!("`run {tested} list`")]
            },
        }];
        let view = tester::TesterView {
            task,
            domain: "codebase",
            language,
            path: "the-tests",
            tested,
            said: &said,
            offers: &offers,
            summary: is_part.then_some("FAILED: it does not start"),
            grammar: !is_part,
        };
        insta::assert_snapshot!(
            format!("tester_{name}"),
            shown(tester::fragments(&view, &templates(), &Words).unwrap())
        );
    }
    assert!(tester::is_known("codebase", &templates()) && !tester::is_known("book", &templates()));
}

#[test]
fn reviewer_prompt() {
    let program = program("codebase", "python");
    let view = reviewer::ReviewerView {
        instruction: &program.instructions[1],
        requirements: &program.requirements,
        given_up: &[reviewer::GivenUp {
            path: "test_shelf.py".into(),
            test: "test_r1_titles_are_kept".into(),
            said: "test_r1_titles_are_kept of test_shelf.py was removed".into(),
            reason: "Titles are sorted now.".into(),
        }],
        diff_tokens_max: 500,
        diff: "--- a/shelf.py\n+++ b/shelf.py\n@@ -1 +1 @@\n-x\n+y\n",
    };
    insta::assert_snapshot!(shown(reviewer::fragments(&view, &templates(), &Words).unwrap()));
}

#[test]
fn summariser_prompt() {
    let program = program("codebase", "python");
    let turns =
        [("@@ run ls", Some("a.py")), ("@@ write a.py\nx\n@@ end", Some("It failed.")), ("@@ done", None)];
    let view = |tokens_max| summariser::SummariserView {
        instruction: &program.instructions[1],
        earlier: Some("FOUND: nothing"),
        turns: &turns,
        tokens_max,
    };
    insta::assert_snapshot!(shown(summariser::fragments(&view(1000), &templates(), &Words).unwrap()));
    let short = shown(summariser::fragments(&view(18), &templates(), &Words).unwrap());
    assert!(short.contains("FOUND: nothing\n\n(2 older replies are left out)\n\nReply 3:"), "{short}");
}

fn report(kind: CheckKind, verdict: Verdict, detail: &str) -> CheckReport {
    CheckReport {
        check: Check { kind, covers: vec!["R2".into()] },
        verdict,
        tree: TreeId("t".into()),
        command: ["python3", "-m", "unittest", "-v"].map(str::to_owned).to_vec(),
        exit_status: Some(1),
        duration_ms: 1,
        resources: None,
        tests: vec![],
        detail: detail.into(),
        output: String::new(),
        causes: vec![],
    }
}

#[test]
fn what_the_machine_says_back() {
    let t = templates();
    let program = program("codebase", "python");
    let failed = Verdict::Failed { reason: "1 of 2 tests failed".into() };
    let none = Verdict::NoEvidence { reason: "no test was found.".into() };
    let hollow = TestOutcome {
        name: "test_shelf.test_r2_list".into(),
        outcome: Outcome::Passed,
        covers: vec!["R2".into()],
        flaw: Some("it asserts nothing that can fail".into()),
    };
    let short = Verdict::Failed { reason: "it has 300 words".into() };
    let mut words =
        report(CheckKind::Words { path: "src/a.md".into(), section: None, min: 600, max: 1200 }, short, "");
    words.command.clear();
    let reports = [
        report(CheckKind::Exists { path: "a.py".into() }, Verdict::Passed, "not shown"),
        report(CheckKind::Tests, failed, "FAIL: test_r2_list\nAssertionError: [] != ['a']\n"),
        report(CheckKind::Tests, none, ""),
        words,
    ];
    let long: String = (1..=63).map(|n| format!("line {n}\n")).collect();
    let called = |tool, text, failed| feedback::Called { tool, text, failed };
    let ran = |command, exit_status, output| feedback::Ran { command, exit_status, limit: None, output };
    let problems = ["`@@ write a.py` is empty.".to_owned(), "Second.".to_owned()];
    let parts = [
        feedback::read(&t, "a.py", "a\nb\nc\n", None, 9000),
        feedback::read(&t, "a.py", "a\nb\nc\n", Some((2, 9)), 9000),
        feedback::read(&t, "a.py", "a\nb\nc\n", Some((7, 9)), 9000),
        feedback::searched(&t, "book", &hits()),
        feedback::searched(&t, "nothing", &[]),
        feedback::called(&t, &called("shelf.find", "Dune\nEmma\n", false), 400),
        feedback::called(&t, &called("shelf.find", "", false), 400),
        feedback::called(&t, &called("shelf.find", &long, false), 40),
        feedback::called(&t, &called("shelf.find", "the shelf is locked", true), 400),
        feedback::ran(&t, &ran("ls", Some(0), "a.py\n")),
        feedback::ran(&t, &ran("true", Some(0), "")),
        feedback::ran(&t, &ran("seq 63", Some(2), &long)),
        feedback::ran(
            &t,
            &feedback::Ran { command: "sleep 9", limit: Some(Limit::WallTime), ..Default::default() },
        ),
        feedback::ran(&t, &ran("abort", None, "")),
        feedback::refused(&t, &problems),
        feedback::refused(&t, &problems[..1]),
        feedback::not_done(&t, &["a.py does not exist".to_owned()]),
        feedback::applied(&t, &["wrote a.py".to_owned(), "deleted b.py".to_owned()]),
        feedback::failed(&t, &reports, "python"),
        feedback::failed(&t, &reports[1..2], "python"),
        feedback::unproven(&t, &["R2".into()], &program.requirements, &[], "python"),
        feedback::unproven(&t, &["R2".into()], &program.requirements, &[hollow], "python"),
        feedback::unproven(&t, &["R1".into(), "R2".into()], &program.requirements, &[], "javascript"),
        feedback::repeated(&t),
        feedback::idle(&t, &["a.py".to_owned(), "b.py".to_owned()]),
        feedback::idle(&t, &[]),
        feedback::plan_refused(&t, &problems),
    ];
    let texts: Vec<_> = parts.into_iter().map(Result::unwrap).collect();
    insta::assert_snapshot!(texts.join("\n----\n"));
    assert_eq!(feedback::join(&[" a\n".into(), String::new(), "b".into()]), "a\n\nb");
}
