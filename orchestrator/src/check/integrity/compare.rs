//! Two inventories of one project: what the later one no longer asks.
//!
//! Assertions are compared as a multiset over all tests, so it makes no difference where one stands and how it is written.
//! One that is nowhere any more is looked for a replacement; only without one is a test said to be weaker.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Assertion, Strictness};
use super::{Breach, BreachKind, Inventory, TestFacts};

/// Bodies with so much in common are one test.
const ALIKE_MIN: f64 = 0.45;

pub(super) fn breaches(after: &Inventory, before: &Inventory) -> Vec<Breach> {
    let lives = |t: &&TestFacts| !t.skipped && t.unreachable.is_none();
    let now: Vec<&TestFacts> = after.tests.iter().filter(lives).collect();
    let mut pool = Pool::of(&now);
    let old: Vec<&TestFacts> = before.tests.iter().filter(lives).filter(|t| t.bites()).collect();
    // What is there word for word is taken first, by whichever test.
    let mut missing: Vec<Vec<&Assertion>> = Vec::new();
    for test in &old {
        let mut gone = Vec::new();
        for assertion in test.assertions.iter().filter(|a| a.bites()) {
            let home = now.iter().position(|n| n.name == test.name);
            if !pool.take_same(assertion, home) {
                gone.push(assertion);
            }
        }
        missing.push(gone);
    }
    let mut out = Vec::new();
    for (test, gone) in old.iter().zip(missing) {
        let matched = matches(test, &now);
        let gone: Vec<_> = gone
            .into_iter()
            .filter(|a| a.strictness > Strictness::Implied)
            .filter(|a| !pool.take_replacement(a, test, &matched, &now))
            .collect();
        let total = test.assertions.iter().filter(|a| a.bites()).count();
        let asks = test.assertions.iter().filter(|a| a.bites() && a.strictness > Strictness::Implied).count();
        let still = after.tests.iter().filter(|n| same_name(n, test));
        // The test itself, rather than another that took its name.
        let still = still.clone().find(|n| n.digest == test.digest).or_else(|| still.clone().next());
        let is_covered = still.is_some_and(|n| n.unreachable.is_some() && n.full == test.full)
            && now.iter().any(|n| n.full == test.full && n.digest != test.digest);
        let breach =
            |kind, said: String| Breach { kind, path: test.path.clone(), test: test.name.clone(), said };
        let (name, path) = (&test.name, &test.path);
        match still {
            _ if !is_covered && gone.is_empty() && (!matched.is_empty() || total > 0 && test.asks()) => {}
            Some(n) if n.skipped => out.push(breach(
                BreachKind::Skipped,
                format!("{name} of {path} is skipped now; let it run again or say why it cannot"),
            )),
            Some(n) if n.unreachable.is_some() => {
                let why = n.unreachable.as_deref().unwrap_or_default();
                out.push(breach(
                    BreachKind::Unreachable,
                    format!("{name} of {path} can no longer be reached ({why}); put it back where the runner finds it"),
                ));
            }
            Some(n) if !n.bites() => out.push(breach(
                BreachKind::Emptied,
                format!("{name} of {path} no longer asserts anything that can fail; put its assertions back"),
            )),
            None if matched.is_empty() || gone.len() == asks => out.push(breach(
                BreachKind::Removed,
                format!("{name} of {path} was removed; put it back or say why"),
            )),
            _ if gone.is_empty() => {}
            _ => {
                let what = gone.first().map(|a| a.raw.clone()).unwrap_or_default();
                out.push(breach(
                    BreachKind::Weakened,
                    format!("{name} of {path} was weakened: it no longer asks ({what}), and nothing as strict does; ask it again"),
                ));
            }
        }
    }
    out
}

fn same_name(new: &TestFacts, old: &TestFacts) -> bool {
    new.name == old.name && (new.full == old.full || new.path == old.path || new.name.len() > 6)
}

/// The tests that an old one has become.
fn matches(old: &TestFacts, now: &[&TestFacts]) -> Vec<usize> {
    let keys: BTreeSet<&str> = old.assertions.iter().filter(|a| a.bites()).map(|a| a.key.as_str()).collect();
    (0..now.len())
        .filter(|n| {
            let new = now[*n];
            new.name == old.name
                || new.digest == old.digest
                || new.assertions.iter().any(|a| keys.contains(a.key.as_str()))
                || alike(&new.words, &old.words) >= ALIKE_MIN
        })
        .collect()
}

fn alike(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let both = a.intersection(b).count() as f64;
    both / (a.len() + b.len()).max(1) as f64 * 2.0
}

/// The assertions there are now, each of which stands for one of before.
struct Pool<'a> {
    /// The test, the assertion, whether it is taken.
    all: Vec<(usize, &'a Assertion, bool)>,
    by_key: BTreeMap<&'a str, Vec<usize>>,
    by_raw: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Pool<'a> {
    fn of(now: &[&'a TestFacts]) -> Self {
        let each = now.iter().enumerate().flat_map(|(n, t)| t.assertions.iter().map(move |a| (n, a, false)));
        let all: Vec<_> = each.filter(|(_, a, _)| a.bites()).collect();
        let (mut by_key, mut by_raw) = (BTreeMap::<&str, Vec<_>>::new(), BTreeMap::<&str, Vec<_>>::new());
        for (at, (_, assertion, _)) in all.iter().enumerate() {
            by_key.entry(&assertion.key).or_default().push(at);
            by_raw.entry(&assertion.raw).or_default().push(at);
        }
        Self { all, by_key, by_raw }
    }

    fn take_same(&mut self, old: &Assertion, home: Option<usize>) -> bool {
        let free = |all: &[(usize, &Assertion, bool)], places: Option<&Vec<usize>>| {
            let places: Vec<usize> = places.into_iter().flatten().copied().filter(|p| !all[*p].2).collect();
            places.iter().copied().find(|p| Some(all[*p].0) == home).or(places.first().copied())
        };
        let at = free(&self.all, self.by_key.get(old.key.as_str()))
            .or_else(|| free(&self.all, self.by_raw.get(old.raw.as_str())));
        if let Some(at) = at {
            self.all[at].2 = true;
        }
        at.is_some()
    }

    /// Something at least as strict: in a test that the old one became, or about the same things with the same values.
    fn take_replacement(
        &mut self,
        old: &Assertion,
        test: &TestFacts,
        matched: &[usize],
        now: &[&TestFacts],
    ) -> bool {
        let strict = |a: &Assertion| a.strictness >= old.strictness;
        // More than was asked: the same things, and more strictly.
        let subsumed = self.all.iter().any(|(n, a, _)| {
            matched.contains(n)
                && (a.strictness > old.strictness && covers(&old.names, &a.names)
                    || strict(a)
                        && old.values.is_subset(&a.values)
                        && !old.values.is_empty()
                        && a.values.len() > old.values.len()
                        && meets(&old.names, &a.names))
        });
        if subsumed {
            return true;
        }
        let best = (0..self.all.len())
            .filter(|at| !self.all[*at].2 && strict(self.all[*at].1))
            .filter_map(|at| {
                let (n, a, _) = self.all[at];
                let about = alike(&a.names, &old.names);
                let named = now[n].name == test.name;
                let becomes = matched.contains(&n) && (named || about > 0.0);
                let holds = old.values.is_subset(&now[n].values)
                    && !old.values.is_empty()
                    && covers(&old.names, &now[n].words);
                (becomes || holds).then_some((at, about + f64::from(u8::from(named)) / 2.0))
            })
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at, _)) = best {
            self.all[at].2 = true;
            return true;
        }
        // A table that the program goes over in a way that is not understood still holds the values.
        now.iter().any(|n| {
            n.opaque_cases > 1
                && old.values.is_subset(&n.values)
                && !old.values.is_empty()
                && covers(&old.names, &n.words)
                && n.assertions.iter().any(|a| a.bites() && strict(a))
        })
    }
}

/// Whether everything named before is named still.
fn covers(old: &BTreeSet<String>, new: &BTreeSet<String>) -> bool {
    old.is_subset(new)
}

fn meets(old: &BTreeSet<String>, new: &BTreeSet<String>) -> bool {
    old.is_empty() || old.intersection(new).next().is_some()
}
