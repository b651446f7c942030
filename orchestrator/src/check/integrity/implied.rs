//! Tests that say by their names that something raises nothing: that they come to their end is what they ask.

use std::collections::BTreeSet;

use super::TestFacts;
use super::body::{File, Step};
use super::judge::{Assertion, Strictness};
use super::project::Project;

/// What such a name says, in small letters and with nothing between its words.
const SAYS: [&str; 19] = [
    "notraise",
    "noraise",
    "doesntraise",
    "withoutraising",
    "noerror",
    "withouterror",
    "noexception",
    "withoutexception",
    "notthrow",
    "nothrow",
    "doesntthrow",
    "notpanic",
    "nopanic",
    "withoutpanic",
    "notcrash",
    "notfail",
    "accepts",
    "isaccepted",
    "tolerates",
];

/// Gives a test that asserts nothing, says that nothing is raised, and calls the project, an assertion of that. `facts` are
/// of the project's tests in their order.
pub(super) fn find(project: &Project<'_>, facts: &mut [TestFacts]) {
    let tests = project.tests.iter().flat_map(|f| f.tests.iter().map(move |t| (*f, t)));
    for ((file, test), facts) in tests.zip(facts) {
        if !facts.assertions.is_empty() || !says_so(&facts.name) {
            continue;
        }
        let reach = project.reach(file, test);
        let used: BTreeSet<_> = reach.touches.difference(&reach.replaced).collect();
        if let Some(call) = called(&test.function.steps, file).find(|name| used.contains(name)) {
            facts.assertions.push(Assertion {
                key: format!("works {call}"),
                raw: format!("works {call}"),
                strictness: Strictness::Implied,
                names: BTreeSet::from([call.clone()]),
                values: BTreeSet::new(),
                lost: None,
            });
        }
    }
}

fn says_so(name: &str) -> bool {
    let plain: String = name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    SAYS.iter().any(|words| plain.contains(words))
}

/// What steps call whose errors reach the test.
fn called<'s>(steps: &'s [Step], file: &'s File) -> Box<dyn Iterator<Item = &'s String> + 's> {
    Box::new(steps.iter().flat_map(move |step| match step {
        Step::Call { name, .. } => Box::new(std::iter::once(name)) as Box<dyn Iterator<Item = &String>>,
        Step::Each { steps, .. } => called(steps, file),
        Step::Within(name, steps) if !file.swallowers.contains(name) => called(steps, file),
        _ => Box::new(std::iter::empty()),
    }))
}
