use super::*;
use crate::client::Finish;
use crate::roles::planner::understand;
use crate::testing::{accepts, templates};

fn rules(languages: &[&str], prose: bool) -> PlanRules {
    let languages: Vec<_> = languages.iter().map(|l| (*l).to_owned()).collect();
    PlanRules::new("codebase", &languages, prose, 8192)
}

/// The worked example of a domain's prompt: what stands after "The plan is:".
fn example(domain: &str, rules: &PlanRules, keeps: bool) -> String {
    let view = serde_json::json!({ "languages": rules.languages, "prose": rules.prose, "keeps": keeps, "story": keeps, "given": rules.given });
    let text = templates().render(&format!("domains/{domain}/plan.md"), &view).unwrap();
    text.split_once("The plan is:\n\n").unwrap().1.to_owned()
}

#[test]
fn the_examples_in_the_prompts_are_plans() {
    for (domain, languages, prose, keeps) in [
        ("codebase", &["python", "rust"][..], false, false),
        ("codebase", &["python", "rust"][..], false, true),
        ("book", &[], true, false),
        ("book", &[], true, true),
        ("custom", &[], false, false),
        ("custom", &[], true, false),
    ] {
        let rules = rules(languages, prose);
        let plan = example(domain, &rules, keeps);
        assert_eq!(accepts(&grammar(&rules), &plan), Ok(()), "{domain}");
        let draft = understand(&plan, Finish::Stop, &[]).unwrap();
        let covered: Vec<_> = draft.steps.iter().flat_map(|s| &s.covers).collect();
        assert!(draft.requirements.iter().all(|(id, _)| covered.contains(&id)), "{domain}");
    }
}

#[test]
fn what_is_settled_is_not_written_again() {
    let task = "Files:\n- `a.py`: x\n- `b.py`: run as `python3 b.py`\n\nR1: One.\nR2: Two.\n";
    let rules = rules(&["python"], false).with(crate::roles::planner::given(task));
    let step =
        |n: u32, files: &str| format!("STEP {n}: x\nWRITES: {files}\nREADS: -\nCOVERS: R1, R2\nDO: x\n");
    let both = step(1, "a.py, test_a.py") + &step(2, "b.py, test_b.py");
    let plan =
        |requirements: &str, steps: &str| format!("TITLE: x\nLANGUAGE: python\n{requirements}{steps}END\n");
    let grammar = grammar(&rules);
    assert_eq!(accepts(&grammar, &plan("", &both)), Ok(()));
    for (requirements, steps) in [
        ("REQUIREMENT R1: One.\n", both.as_str()),
        ("", &step(1, "a.py, test_a.py")),
        ("", &both.replace("b.py, test", "c.py, test")),
        ("", &(both.clone() + &step(3, "c.py"))),
        ("", &both.replace("R2", "R3")),
    ] {
        assert!(accepts(&grammar, &plan(requirements, steps)).is_err(), "{requirements}{steps}");
    }
    let draft = understand(&plan("", &both), Finish::Stop, &rules.given.requirements).unwrap();
    assert_eq!(draft.requirements[1], ("R2".into(), "Two.".to_owned()));
    let own = understand(&plan("REQUIREMENT R1: Other.\n", &both), Finish::Stop, &rules.given.requirements);
    assert_eq!(own.unwrap(), draft, "its own words for them do not count");
}

#[test]
fn what_is_not_a_plan_cannot_be_written() {
    let rules = rules(&["python"], false);
    let grammar = grammar(&rules);
    let plan = example("codebase", &rules, true);
    for (from, to) in [
        ("TITLE", "Title"),
        ("LANGUAGE: python", "LANGUAGE: cobol"),
        ("REQUIREMENT R2", "REQUIREMENT R3"),
        ("STEP 2", "STEP 3"),
        ("COVERS: R1, R2, R3, R5\n", "\n"),
        ("COVERS: R1, R2, R3, R5\n", "COVERS: R13\n"),
        ("WRITES: book.py, ", "WRITES: ../x.py, "),
        ("WRITES: book.py, test_book.py", "WRITES: -"),
    ] {
        assert!(plan.contains(from), "{from}");
        assert!(accepts(&grammar, &plan.replacen(from, to, 1)).is_err(), "{to}");
    }
}
