//! Why the passing of a test shows nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::body::{Asked, File, Found, Step};
use super::judge::{Assertion, Strictness, is_mocking};
use super::project::Project;
use super::tokens::is_name;
use super::{TestFacts, existence};
use crate::check::tests_run::named_in;

/// Writes its flaw into every test that has one. `facts` are of the project's tests in their order.
pub(super) fn find(project: &Project<'_>, facts: &mut [TestFacts]) {
    let tests: Vec<(&File, &Found)> =
        project.tests.iter().flat_map(|f| f.tests.iter().map(move |t| (*f, t))).collect();
    let mut first: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut asked: BTreeMap<(String, BTreeSet<String>), String> = BTreeMap::new();
    let mut bodies: Vec<(String, String, &[String])> = Vec::new();
    for ((file, test), facts) in tests.into_iter().zip(facts) {
        let group = facts.full.strip_suffix(&facts.name).unwrap_or(&facts.full).to_owned();
        let key = (format!("{} {group}", facts.path), format!("{}{:?}", facts.digest, test.table));
        let flaw = of(project, file, test, facts);
        let twin = first.get(&key).filter(|_| !test.function.tokens.is_empty());
        let flaw = flaw.or_else(|| twin.map(|twin| format!("it is word for word the same as {twin}")));
        first.entry(key).or_insert_with(|| facts.name.clone());
        let questions = only_questions(facts).filter(|_| test.table.is_none());
        let twin = questions.as_ref().and_then(|q| asked.get(&(facts.path.clone(), q.clone())));
        // In another class or group something else may have been done before.
        let here = format!("{} {group}", facts.path);
        let of_part = bodies.iter().find(|(there, name, body)| {
            *there == here && is_of_another(name, facts) && is_part(&test.function.tokens, body)
        });
        let twin = twin.or(of_part.map(|(_, name, _)| name));
        let flaw = flaw.or_else(|| twin.map(|twin| format!("it asks what {twin} asks and nothing else")));
        if let Some(questions) = questions {
            asked.entry((facts.path.clone(), questions)).or_insert_with(|| facts.name.clone());
        }
        if test.table.is_none() {
            bodies.push((here, facts.name.clone(), test.function.tokens.as_slice()));
        }
        facts.flaw = flaw.map(|why| {
            format!(
                "{} of {} shows nothing: {why}; assert what the project's own code does",
                facts.name, facts.path
            )
        });
    }
}

/// A body of fewer tokens is a word.
const PART_TOKENS_MIN: usize = 4;

/// Words by which assertions are made.
const ASKING: [&str; 12] = [
    "self",
    "t",
    "expect",
    "equal",
    "strictEqual",
    "deepEqual",
    "deepStrictEqual",
    "ok",
    "toBe",
    "toEqual",
    "toStrictEqual",
    "strict",
];

/// Whether a test is named after a requirement and an earlier one after others: a part of what that asked is then no
/// evidence of its own.
fn is_of_another(earlier: &str, facts: &TestFacts) -> bool {
    let (theirs, ours) = (named_in(earlier), named_in(&facts.name));
    !theirs.is_empty() && !ours.is_empty() && ours.iter().all(|id| !theirs.contains(id))
}

/// Whether all that a test does stands in another one's body, as it is written.
fn is_part(tokens: &[String], of: &[String]) -> bool {
    tokens.len() >= PART_TOKENS_MIN && of.windows(tokens.len()).any(|part| part == tokens)
}

/// What a test asks that does nothing but ask, as it is written, how often and in which order it may. None where something
/// is done besides, so that the same question is another one.
fn only_questions(facts: &TestFacts) -> Option<BTreeSet<String>> {
    let of_question = |word: &String| {
        word.starts_with("assert")
            || ASKING.contains(&word.as_str())
            || facts.assertions.iter().any(|a| a.names.contains(word) || a.values.contains(word))
    };
    let only = facts.assertions.iter().all(Assertion::bites) && facts.words.iter().all(of_question);
    only.then(|| facts.assertions.iter().map(|a| a.raw.clone()).collect())
}

fn of(project: &Project<'_>, file: &File, test: &Found, facts: &TestFacts) -> Option<String> {
    if let Some(why) = &facts.unreachable {
        return Some(format!("it never runs, since {why}"));
    }
    if !facts.bites() {
        return Some(without_bite(&facts.assertions));
    }
    let reach = project.reach(file, test);
    let used: BTreeSet<_> = reach.touches.difference(&reach.replaced).collect();
    let really: BTreeSet<_> = used.iter().filter(|n| !reach.modules.contains(**n)).collect();
    if really.is_empty() && !reach.by_file {
        let mocked = !reach.replaced.is_empty() || is_mocking(&test.function.tokens);
        return Some(if mocked {
            "everything it checks is a mock that it has set up itself".to_owned()
        } else {
            "it uses nothing of the project".to_owned()
        });
    }
    if let Some(asked) = existence::asked_only(project, &reach, facts) {
        return Some(format!("it asks only whether something is there ({asked})"));
    }
    only_mocks(test).then(|| "everything it checks is a mock that it has set up itself".to_owned())
}

fn without_bite(assertions: &[Assertion]) -> String {
    let lost = |why: &str| assertions.iter().find(|a| a.lost.as_deref() == Some(why));
    if let Some(a) = lost("swallowed") {
        format!("what its assertion ({}) throws is swallowed by the code around it", a.raw)
    } else if let Some(a) = lost("floating") {
        format!("its assertion ({}) runs in a promise or callback that nobody awaits", a.raw)
    } else if let Some(a) = lost("dead") {
        format!("its assertion ({}) can never be reached", a.raw)
    } else if let Some(a) = assertions.iter().find(|a| a.strictness == Strictness::Trivial) {
        format!("its assertion ({}) cannot fail", a.raw)
    } else {
        "it asserts nothing".to_owned()
    }
}

/// Whether what is asserted is what a mock was told to say: mocks that are handed to nothing.
fn only_mocks(test: &Found) -> bool {
    let tokens = &test.function.tokens;
    let handed = |name: &String| {
        tokens.iter().enumerate().filter(|(_, t)| *t == name).any(|(at, _)| {
            let next = tokens.get(at + 1).map(String::as_str).unwrap_or_default();
            !matches!(next, "." | "(" | "=")
        })
    };
    let mocks: BTreeSet<&String> = test
        .function
        .steps
        .iter()
        .filter_map(|s| match s {
            Step::Let(name, value) if is_mocking(value) => {
                let made = value
                    .iter()
                    .take(4)
                    .any(|t| t.ends_with("Mock") || t == "create_autospec" || t == "mock");
                (made && !handed(name)).then_some(name)
            }
            _ => None,
        })
        .collect();
    let mut asked = Vec::new();
    gather(&test.function.steps, &mut asked);
    let of_mocks = |asked: &&Asked| {
        let first = asked.of.iter().flat_map(|t| roots(t)).collect::<BTreeSet<_>>();
        !first.is_empty() && first.iter().all(|n| mocks.contains(n))
    };
    !mocks.is_empty() && !asked.is_empty() && asked.iter().all(of_mocks)
}

fn gather<'s>(steps: &'s [Step], out: &mut Vec<&'s Asked>) {
    for step in steps {
        match step {
            Step::Assert(asked) => out.push(asked),
            Step::Each { steps, .. } | Step::Lost(_, steps) | Step::Within(_, steps) => gather(steps, out),
            _ => {}
        }
    }
}

/// Names that are no members of anything.
fn roots(tokens: &[String]) -> impl Iterator<Item = String> {
    let member = |at: usize| at > 0 && matches!(tokens[at - 1].as_str(), "." | "?.");
    tokens.iter().enumerate().filter(move |(at, t)| is_name(t) && !member(*at)).map(|(_, t)| t.clone())
}
