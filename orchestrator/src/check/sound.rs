//! Whether a test run that passes shows anything: tests that became weaker since they counted, tests that cannot fail, a
//! run that was interfered with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use edvac_agents::roles::reviewer::{GivenUp, Opinion};
use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView;
use edvac_memory::program::Retirement;
use edvac_memory::store::StoreError;
use edvac_memory::store::path::is_test;
use edvac_memory::verdict::{Outcome, Verdict};

use super::integrity::{Breach, BreachKind, FILE_BYTES_MAX, Inventory, TestFacts, last_part, speaks};
use super::{Found, Ground};
use crate::survey::Before;

/// Breaches that a reason names; the others are counted.
const NAMED_MAX: usize = 2;

/// Tests that counted before, and may not ask less now.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Those of the last commit whose tests were sound.
    pub committed: Inventory,
    /// Those that failed when they were last run in this attempt, under their runner's names, each with the inventory
    /// of its tree. They may be written again; they may not go away, or ask about something else.
    pub failed: Vec<(Inventory, BTreeSet<String>)>,
    /// Tests that may ask less all the same: the step says why, and the reviewer agreed.
    pub excused: Vec<GivenUp>,
    /// Tests that the step gave up and the reviewer did not agree to.
    pub kept: Vec<GivenUp>,
    /// Why it did not.
    pub objection: Option<String>,
    /// What was so before anybody worked on the project.
    pub before: Before,
}

impl Counted {
    /// What counts while a step is worked on: `failing` are its attempt's tests that failed last, with their trees.
    pub fn of(
        committed: &Inventory,
        failing: &BTreeMap<String, TreeId>,
        inventories: &Inventories,
        store: &dyn FileStoreView,
        runner: &str,
    ) -> Result<Self, StoreError> {
        let mut by_tree: BTreeMap<&TreeId, BTreeSet<String>> = BTreeMap::new();
        for (name, tree) in failing {
            by_tree.entry(tree).or_default().insert(name.clone());
        }
        let failed = by_tree
            .into_iter()
            .map(|(tree, names)| Ok((Inventory::clone(&*inventories.of(store, tree, runner)?), names)));
        let failed = failed.collect::<Result<_, StoreError>>()?;
        Ok(Self { committed: committed.clone(), failed, ..Self::default() })
    }

    /// The same without tests that were agreed to go.
    #[must_use]
    pub fn without<'a>(mut self, agreed: impl Iterator<Item = &'a GivenUp>) -> Self {
        self.excused.extend(agreed.cloned());
        self
    }

    /// The same after the reviewer's word on tests that are given up.
    #[must_use]
    pub fn judged(mut self, given_up: &[GivenUp], opinion: Option<&Opinion>) -> Self {
        match opinion {
            Some(Opinion { accepted: true, .. }) => self.excused.extend_from_slice(given_up),
            Some(Opinion { reasons, .. }) => {
                self.kept = given_up.to_vec();
                self.objection = Some(reasons.join(" "));
            }
            None => {}
        }
        self
    }

    /// Tests that a step may give up and that are not as they were, whether or not something else asks the same.
    pub fn given_up(&self, now: &Inventory, retires: &[Retirement]) -> Vec<GivenUp> {
        let breaches = self.breaches(now);
        let is_same = |old: &TestFacts| {
            now.tests.iter().any(|t| t.path == old.path && t.full == old.full && t.digest == old.digest)
        };
        let of = |old: &TestFacts| {
            let retirement = retires.iter().find(|r| r.is_of(&old.path, &old.name))?;
            let is_excused = self.excused.iter().any(|e| e.path == old.path && e.test == old.name);
            if is_excused || is_same(old) {
                return None;
            }
            let breach = breaches.iter().find(|b| b.path == old.path && b.test == old.name);
            // What has to be done about it is for whoever has no reason.
            let said = breach.map_or_else(
                || format!("{} of {} is another test now, or gone", old.name, old.path),
                |b| b.said.split(';').next().unwrap_or_default().to_owned(),
            );
            let (path, test) = (old.path.clone(), old.name.clone());
            Some(GivenUp { path, test, said, reason: retirement.reason.trim().to_owned() })
        };
        self.committed.tests.iter().filter_map(of).collect()
    }

    /// In which ways `now` asks less.
    fn breaches(&self, now: &Inventory) -> Vec<Breach> {
        let mut all = now.breaches_since(&self.committed);
        let is_gone = |b: &Breach| !matches!(b.kind, BreachKind::Weakened | BreachKind::Tampered);
        for (before, names) in &self.failed {
            let lasts: BTreeSet<_> = names.iter().map(|name| last_part(name)).collect();
            let new = now.breaches_since(before).into_iter();
            all.extend(new.filter(|b| is_gone(b) && lasts.contains(b.test.as_str())));
            all.extend(now.turned_away(before).into_iter().filter(|b| lasts.contains(b.test.as_str())));
        }
        for GivenUp { path, test, said, .. } in &self.kept {
            if !all.iter().any(|b| b.path == *path && b.test == *test) {
                let (path, test, said) = (path.clone(), test.clone(), said.clone());
                all.push(Breach { kind: BreachKind::Weakened, path, test, said });
            }
        }
        let mut seen = BTreeSet::new();
        let is_excused = |b: &Breach| {
            b.kind != BreachKind::Tampered
                && self.excused.iter().any(|e| e.path == b.path && e.test == b.test)
        };
        all.retain(|breach| !is_excused(breach) && seen.insert(breach.said.clone()));
        all
    }
}

/// Trees whose inventories are kept.
const TAKEN_MAX: usize = 4;

/// Inventories of the last few trees. A tree never changes, and taking one takes seconds where there are thousands of files.
#[derive(Debug, Default)]
pub struct Inventories(Mutex<Vec<(TreeId, String, Arc<Inventory>)>>);

impl Inventories {
    /// The inventory of a tree's tests, which `runner` runs.
    pub fn of(
        &self,
        store: &dyn FileStoreView,
        tree: &TreeId,
        runner: &str,
    ) -> Result<Arc<Inventory>, StoreError> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(of, by, _): &&(TreeId, String, _)| of == tree && by == runner;
        if let Some((.., inventory)) = taken.iter().find(is_it) {
            return Ok(Arc::clone(inventory));
        }
        let inventory = Arc::new(inventory(store, tree, runner)?);
        taken.truncate(TAKEN_MAX - 1);
        taken.insert(0, (tree.clone(), runner.to_owned(), Arc::clone(&inventory)));
        Ok(inventory)
    }
}

/// The inventory of a tree's tests. Reads every file of text; linear in their bytes.
fn inventory(store: &dyn FileStoreView, tree: &TreeId, runner: &str) -> Result<Inventory, StoreError> {
    let mut files = Vec::new();
    for (path, bytes) in store.list(tree)? {
        if bytes > FILE_BYTES_MAX as u64 {
            continue;
        }
        if let Ok(text) = String::from_utf8(store.read(tree, &path)?) {
            files.push((path, text));
        }
    }
    Ok(Inventory::take(files.iter().map(|(path, text)| (path.as_str(), text.as_str())), runner))
}

/// A test run's verdict in the light of what its tests are.
pub(super) fn weighed(mut found: Found, ground: &Ground<'_>) -> Found {
    if matches!(found.verdict, Verdict::Stopped { .. } | Verdict::Integrity { .. }) {
        return found;
    }
    match too_large(ground) {
        Ok(Some(path)) => {
            // Failures speak for themselves; what passes is not looked into.
            if found.verdict.is_passed() {
                let reason = format!(
                    "{path} is larger than {} KiB, too large to see what its tests assert; split it",
                    FILE_BYTES_MAX >> 10
                );
                found.verdict = Verdict::NoEvidence { reason };
            }
            return found;
        }
        Ok(None) => {}
        Err(error) => return Found::nothing(format!("the tests cannot be looked at: {error}")),
    }
    let runner = ground.domain.runner(ground.language);
    let now = match ground.inventories.of(ground.store, ground.tree, runner) {
        Ok(now) => now,
        Err(error) => return Found::nothing(format!("the tests cannot be looked at: {error}")),
    };
    for test in found.tests.iter_mut().filter(|t| t.outcome == Outcome::Passed) {
        test.flaw = now.flaw_of(&test.name);
    }
    let mut breaches = now.tampering().to_vec();
    breaches.extend(ground.counted.breaches(&now).into_iter().filter(|b| !now.tampering().contains(b)));
    breaches.retain(|breach| !ground.counted.before.tampering.contains(breach));
    if let Some(mut reason) = reason(&breaches) {
        if let Some(objection) = &ground.counted.objection {
            let _ = write!(reason, "; the reviewer did not agree to it: {objection}");
        }
        found.verdict = Verdict::Integrity { reason };
        return found;
    }
    let passed: Vec<_> = found.tests.iter().filter(|t| t.outcome == Outcome::Passed).collect();
    if found.verdict.is_passed()
        && let Some(first) = passed.first()
        && passed.iter().all(|t| t.flaw.is_some())
    {
        let flaw = first.flaw.clone().unwrap_or_default();
        let reason = format!("no test that passed shows anything: {}: {flaw}", first.name);
        found.verdict = Verdict::NoEvidence { reason };
    }
    found
}

/// A file of tests that is not looked into.
fn too_large(ground: &Ground<'_>) -> Result<Option<String>, StoreError> {
    let all = ground.store.list(ground.tree)?;
    let runner = ground.domain.runner(ground.language);
    let large = |(path, bytes): &(String, u64)| {
        is_test(path) && speaks(path, runner) && *bytes > FILE_BYTES_MAX as u64
    };
    Ok(all.into_iter().find(large).map(|(path, _)| path))
}

fn reason(breaches: &[Breach]) -> Option<String> {
    let named: Vec<_> = breaches.iter().take(NAMED_MAX).map(|b| b.said.clone()).collect();
    let more = breaches.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("{}{more}", named.join("; ")))
}
