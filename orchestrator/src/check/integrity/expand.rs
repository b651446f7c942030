//! Every assertion that a test makes: its own, those of helpers that it calls, once for each row of a table.

use std::collections::{BTreeMap, BTreeSet};

use super::body::{File, Found, Function, Kind, Lost, Over, Row, Step};
use super::judge::{Assertion, Strictness, judge};
use super::tokens::{Tokens, is_fixed, put};

/// Helpers that call helpers, so many times.
const DEPTH_MAX: usize = 6;
/// Assertions of one test that are looked at.
const ASSERTIONS_MAX: usize = 600;
/// Rows of one table.
const ROWS_MAX: usize = 200;

/// What names mean in a place.
#[derive(Clone, Default)]
struct Names {
    given: BTreeMap<String, Tokens>,
    tables: BTreeMap<String, Vec<Row>>,
}

/// Finds the assertions of one test.
pub(super) struct Expansion<'a> {
    /// The test's file, and then the files it can have helpers from.
    pub(super) files: Vec<&'a File>,
    /// Whether the test says that something is to be the same again.
    pub(super) repeats: bool,
    pub(super) out: Vec<Assertion>,
}

impl<'a> Expansion<'a> {
    /// Looks through a test.
    pub(super) fn test(&mut self, test: &'a Found) {
        let mut names = Names::default();
        for (name, value) in self.files.iter().take(1).flat_map(|f| &f.lets) {
            if is_fixed(value) && value.len() == 1 {
                names.given.insert(name.clone(), value.clone());
            }
        }
        for parameter in &test.function.parameters {
            names.given.remove(parameter);
        }
        let decorators = test.marks.iter().map(|mark| decorator(mark));
        let lost = decorators.into_iter().any(|name| self.swallows(name)).then_some(Lost::Swallowed);
        match &test.table {
            Some((columns, over)) => {
                let each = Row::default();
                let rows = self.rows(over, &names).unwrap_or_else(|| vec![each]);
                for row in rows.iter().take(ROWS_MAX) {
                    let mut inner = names.clone();
                    fill(&mut inner, columns, row);
                    self.steps(&test.function.steps, &test.function, &mut inner, lost, 0);
                }
            }
            None => self.steps(&test.function.steps, &test.function, &mut names, lost, 0),
        }
    }

    fn steps(
        &mut self,
        steps: &'a [Step],
        of: &'a Function,
        names: &mut Names,
        lost: Option<Lost>,
        depth: usize,
    ) {
        for step in steps {
            if self.out.len() >= ASSERTIONS_MAX {
                return;
            }
            match step {
                Step::Assert(asked) => {
                    let filled: Vec<_> = asked.of.iter().map(|t| put(t, &names.given)).collect();
                    let lost = lost.or_else(|| inverted(&filled).then_some(Lost::Swallowed));
                    let to_anything = asked.kind == Kind::Equal && self.is_any(&filled);
                    let written = judge(asked.kind, &asked.of, self.repeats);
                    for (at, plain) in judge(asked.kind, &filled, self.repeats).into_iter().enumerate() {
                        self.out.push(Assertion {
                            raw: written.get(at).map_or_else(|| plain.key.clone(), |w| w.key.clone()),
                            names: plain.names(),
                            values: plain.values(),
                            key: plain.key,
                            strictness: if to_anything { Strictness::Trivial } else { plain.strictness },
                            lost: lost.map(|l| format!("{l:?}").to_lowercase()),
                        });
                    }
                }
                Step::Let(name, value) => {
                    for (name, value) in parts(name, value) {
                        if stays(&name, &value, &of.tokens) {
                            let value = put(&value, &names.given);
                            names.given.insert(name, value);
                        } else {
                            names.given.remove(&name);
                        }
                    }
                }
                Step::Table(name, rows) => {
                    names.tables.insert(name.clone(), rows.clone());
                }
                Step::Lost(why, inner) => {
                    self.steps(inner, of, names, lost.or(Some(*why)), depth);
                }
                Step::Within(name, inner) => {
                    let lost = lost.or_else(|| self.swallows(name).then_some(Lost::Swallowed));
                    self.steps(inner, of, names, lost, depth);
                }
                Step::Each { names: columns, over, steps } => {
                    let rows = self.rows(over, names);
                    // A loop over nothing does nothing.
                    let nothing = rows.as_ref().is_some_and(Vec::is_empty);
                    let lost = if nothing { lost.or(Some(Lost::Dead)) } else { lost };
                    let rows = rows.filter(|r| !r.is_empty()).unwrap_or_else(|| vec![Row::default()]);
                    for row in rows.iter().take(ROWS_MAX) {
                        let mut inner = names.clone();
                        columns.iter().for_each(|c| drop(inner.given.remove(c)));
                        fill(&mut inner, columns, row);
                        self.steps(steps, of, &mut inner, lost, depth);
                    }
                }
                Step::Call { name, given, awaited } => {
                    let Some(helper) = self.helper(name).filter(|_| depth < DEPTH_MAX) else { continue };
                    let given: Vec<_> = given.iter().map(|t| put(t, &names.given)).collect();
                    let mut inner = Names { given: BTreeMap::new(), tables: names.tables.clone() };
                    bind(&mut inner.given, &helper.parameters, &given);
                    let floats = helper.is_async && !awaited;
                    let lost = if floats { lost.or(Some(Lost::Floating)) } else { lost };
                    self.steps(&helper.steps, helper, &mut inner, lost, depth + 1);
                }
            }
        }
    }

    /// Whether a side is an object that is equal to everything.
    fn is_any(&self, sides: &[Tokens]) -> bool {
        // With what a mock was called is another matter: that it was called is asked all the same.
        if sides.iter().flatten().any(|t| t.starts_with("assert_")) {
            return false;
        }
        let made = |side: &Tokens| match side.as_slice() {
            [class, open, ..] if open == "(" => self.files.iter().any(|f| f.always_equal.contains(class)),
            _ => false,
        };
        sides.iter().any(made)
    }

    fn swallows(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.swallowers.contains(name))
    }

    fn helper(&self, name: &str) -> Option<&'a Function> {
        self.files.iter().find_map(|file| file.functions.iter().find(|f| f.name == name))
    }

    fn rows(&self, over: &Over, names: &Names) -> Option<Vec<Row>> {
        match over {
            Over::Rows(rows) => Some(rows.clone()),
            Over::Named(name) => names
                .tables
                .get(name)
                .or_else(|| self.files.iter().find_map(|f| f.tables.get(name)))
                // An empty table is one that is filled later.
                .filter(|rows| !rows.is_empty())
                .cloned(),
            Over::Unknown => None,
        }
    }
}

/// What a mark such as `@tools.quiet(times=2)` calls.
fn decorator(mark: &str) -> &str {
    let name = mark.trim_start_matches('@').split('(').next().unwrap_or_default().trim();
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether what is asked is that an assertion of the test's own failed: `catch_unwind(|| assert_eq!(..)).is_err()`.
fn inverted(of: &[Tokens]) -> bool {
    of.iter().any(|tokens| {
        tokens.ends_with(&[".", "is_err", "(", ")"].map(str::to_owned))
            && tokens.iter().any(|t| matches!(t.as_str(), "catch_unwind" | "spawn"))
            && tokens.windows(2).any(|pair| pair[0].starts_with("assert") && pair[1] == "!")
    })
}

fn fill(names: &mut Names, columns: &[String], row: &Row) {
    match (columns, row.as_slice()) {
        (_, []) => {}
        ([one], [value]) => drop(names.given.insert(one.clone(), value.clone())),
        ([one], many) => drop(names.given.insert(one.clone(), many.join(&",".to_owned()))),
        (many, values) => {
            names.given.extend(many.iter().cloned().zip(values.iter().cloned()));
        }
    }
}

fn bind(names: &mut BTreeMap<String, Tokens>, parameters: &[String], given: &[Tokens]) {
    for (at, value) in given.iter().enumerate() {
        match value.as_slice() {
            [name, sign, value @ ..] if sign == "=" => drop(names.insert(name.clone(), value.to_vec())),
            value => {
                if let Some(parameter) = parameters.get(at) {
                    names.insert(parameter.clone(), value.to_vec());
                }
            }
        }
    }
}

/// What each name of a pattern is given: `a, b`, `[a, b]`, `(a, b)`.
fn parts(name: &str, value: &Tokens) -> Vec<(String, Tokens)> {
    let inner = name.trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    let is_pattern = inner.contains(',') && !inner.contains(['{', '(', '[', '.', '*']);
    if !is_pattern {
        return vec![(name.to_owned(), value.clone())];
    }
    let item = |at: usize| {
        let end = if name.starts_with('(') {
            vec![".".to_owned(), at.to_string()]
        } else {
            vec!["[".to_owned(), at.to_string(), "]".to_owned()]
        };
        value.iter().cloned().chain(end).collect()
    };
    inner.split(',').enumerate().map(|(at, name)| (name.trim().to_owned(), item(at))).collect()
}

/// Whether a name means the same from here on: it is given once, and what it is given does not change.
fn stays(name: &str, value: &Tokens, body: &Tokens) -> bool {
    let here: BTreeSet<usize> =
        body.iter().enumerate().filter(|(_, t)| *t == name).map(|(at, _)| at).collect();
    let given = here
        .iter()
        .filter(|at| {
            body.get(*at + 1).is_some_and(|t| {
                matches!(t.as_str(), "=" | ":=" | "+=" | "-=" | "*=" | "|=" | "++" | "--" | "??=" | "||=")
            }) || at
                .checked_sub(1)
                .is_some_and(|b| matches!(body[b].as_str(), "++" | "--" | "nonlocal" | "global"))
        })
        .count();
    let is_value = !is_fixed(value) || value.len() == 1;
    given <= 1 && value.len() < 60 && (is_value || here.len() <= 2) && !value.contains(&name.to_owned())
}
