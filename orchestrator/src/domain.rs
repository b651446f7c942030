//! Domains: what differs between a program, a book and anything else. A domain is a file, `domains/<name>/domain.toml`
//! among the templates, besides the words that planners and workers are told.

use std::collections::BTreeSet;

use edvac_agents::roles::planner::PlanRules;
use edvac_agents::templates::{TemplateError, Templates};
use edvac_memory::ids::RequirementId;
use edvac_memory::program::{Check, CheckKind};
use serde::Deserialize;

use crate::check::integrity::speaks;

/// Words a text may have where the plan does not say.
const WORDS_DEFAULT: (u32, u32) = (100, 5000);

/// Directories in which projects keep the code of others.
const OTHERS: [&str; 4] = ["node_modules", "vendor", "third_party", "venv"];

/// Stands in a domain's checks for the file that is checked.
pub const ANY_FILE: &str = "*";

/// Why a domain cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// Nobody has heard of it.
    #[error("there is no domain {name:?}; there are {}", .known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// Its file is not what it should be.
    #[error("the domain file {file} cannot be used:\n{message}")]
    Bad {
        /// The file, by its template's name.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// The templates.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// A domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Its name, as directories and prompts spell it.
    #[serde(skip)]
    pub name: String,
    /// Whether steps write prose, with outline and length.
    #[serde(default)]
    pub prose: bool,
    /// Whether workers may run commands; such a domain needs the sandbox.
    #[serde(default)]
    pub commands: bool,
    /// The file that fixes names, for prose.
    #[serde(default)]
    pub canon: String,
    /// The table of contents: a list of links to the chapters, whose texts are their titles; for prose.
    #[serde(default)]
    pub contents: String,
    /// Whether chapters are written section by section, one for each beat.
    #[serde(default)]
    pub sections: bool,
    /// Beginning of the file names of chapters, whose length and headings are checked.
    #[serde(default)]
    pub chapters: String,
    /// Fewest level-2 headings of a chapter.
    #[serde(default)]
    pub sections_min: u32,
    /// Further checks of each chapter; where a path is [`ANY_FILE`], the chapter's stands.
    #[serde(default, rename = "chapter_check")]
    pub chapter_checks: Vec<CheckKind>,
    /// Languages to choose from, the default first.
    #[serde(default, rename = "language")]
    pub languages: Vec<Language>,
    /// Files that always look alike.
    #[serde(default, rename = "form")]
    pub forms: Vec<Form>,
}

/// How a file of a domain must look. Where a grammar binds the worker, nothing else can be written there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The file.
    pub path: String,
    /// Its text as the right side of a Lark rule, in llguidance's dialect; the last line ends with a line break.
    pub lark: String,
    /// The same where packages may be installed.
    #[serde(default)]
    pub lark_with_packages: Option<String>,
}

impl Form {
    /// The rule that is in force.
    pub fn rule(&self, allow_install: bool) -> &str {
        let other = self.lark_with_packages.as_deref().filter(|_| allow_install);
        other.unwrap_or(&self.lark)
    }
}

/// A language of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// Its name.
    pub name: String,
    /// Other names that a planner may give it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// How tests are run and read: `python`, `javascript`, `rust` or `go`.
    pub runner: String,
    /// The same for people.
    pub tests_run_by: String,
    /// A file without which nothing of a project can be built or tested; the first step writes it where the plan forgets it.
    #[serde(default)]
    pub manifest: Option<String>,
    /// Checks of each step besides: `builds`, `lints`, or any other that is about no single file.
    #[serde(default, rename = "check")]
    pub checks: Vec<CheckKind>,
    /// Packages of others that a project may ask for by name, and that are installed for it where a person allows it.
    #[serde(default)]
    pub packages: Vec<String>,
}

impl Domain {
    /// Reads a domain's file.
    pub fn load(name: &str, templates: &Templates) -> Result<Self, DomainError> {
        let file = format!("domains/{name}/domain.toml");
        let text = match templates.text(&file) {
            Ok(text) => text,
            Err(TemplateError::Missing { .. }) => {
                return Err(DomainError::Unknown { name: name.to_owned(), known: Self::names(templates) });
            }
            Err(other) => return Err(other.into()),
        };
        let domain: Self =
            toml::from_str(text).map_err(|e| DomainError::Bad { file, message: e.to_string() })?;
        Ok(Self { name: name.to_owned(), ..domain })
    }

    /// The domains there are.
    pub fn names(templates: &Templates) -> Vec<String> {
        let files = templates.names("domains/").filter_map(|n| n.strip_suffix("/domain.toml"));
        files.filter_map(|n| n.strip_prefix("domains/")).map(str::to_owned).collect()
    }

    /// What the planner is told about it.
    pub fn plan_rules(&self, window_tokens: usize) -> PlanRules {
        let languages: Vec<_> = self.languages.iter().map(|l| l.name.clone()).collect();
        PlanRules::new(&self.name, &languages, self.prose, window_tokens)
    }

    /// Whether workers may run commands.
    pub fn runs_commands(&self) -> bool {
        self.commands
    }

    /// The language that a planner's word means: the default where it means none.
    pub fn language(&self, said: &str) -> &str {
        let said = said.trim().to_lowercase();
        let means = |l: &&Language| {
            l.name == said || l.aliases.contains(&said) || said.split([' ', '/']).next() == Some(&l.name)
        };
        let found = self.languages.iter().find(means).or(self.languages.first());
        found.map_or("", |l| l.name.as_str())
    }

    /// The language that most of a project's code is in; empty where none of it is in one of these.
    pub fn language_of<'a>(&self, files: impl Iterator<Item = &'a str>) -> &str {
        let is_own = |path: &&str| !path.split('/').any(|part| OTHERS.contains(&part));
        let files: Vec<_> = files.filter(is_own).collect();
        let count = |l: &&Language| files.iter().filter(|path| speaks(path, &l.runner)).count();
        // Of equally many the first one, as where nobody says any.
        let most = self.languages.iter().rev().max_by_key(count);
        most.filter(|l| count(l) > 0).map_or("", |l| l.name.as_str())
    }

    /// Whether a program may be in this language, as [`Self::language`] spells it; prose is in none.
    pub fn knows(&self, language: &str) -> bool {
        language.is_empty() || self.spec(language).is_some()
    }

    fn spec(&self, language: &str) -> Option<&Language> {
        self.languages.iter().find(|l| l.name == language)
    }

    /// Which runner a language's tests have; empty where there is none.
    pub fn runner(&self, language: &str) -> &str {
        self.spec(language).map_or("", |l| l.runner.as_str())
    }

    /// Packages that a project in this language may ask for.
    pub fn packages(&self, language: &str) -> &[String] {
        self.spec(language).map_or(&[], |l| l.packages.as_slice())
    }

    /// How a person would run the tests; empty where there are none.
    pub fn tests_run_by(&self, language: &str) -> &str {
        self.spec(language).map_or("", |l| l.tests_run_by.as_str())
    }

    /// A file that the first step has to write.
    pub fn manifest(&self, language: &str) -> Option<&str> {
        self.spec(language)?.manifest.as_deref()
    }

    /// The checks of a step. Where tests are run, only they are evidence for a requirement, each for those it names,
    /// and all of them together for those of `tested_as_such`, which ask for tests and nothing else; otherwise what is
    /// checked about the step's own files is.
    pub fn checks_for(
        &self,
        language: &str,
        writes: &[String],
        covers: &[RequirementId],
        tested_as_such: &BTreeSet<RequirementId>,
        beats: &[String],
        words: Option<(u32, u32)>,
    ) -> Vec<Check> {
        let tested = !self.runner(language).is_empty();
        let plain = |kind| Check { kind, covers: Vec::new() };
        let evidence = |kind| Check { kind, covers: if tested { Vec::new() } else { covers.to_vec() } };
        let mut checks = Vec::new();
        for path in writes {
            let path = path.clone();
            if self.is_chapter(&path) {
                let (min, max) = words.unwrap_or(WORDS_DEFAULT);
                checks.push(evidence(CheckKind::Words { path: path.clone(), section: None, min, max }));
                checks
                    .push(plain(CheckKind::Headings { path: path.clone(), sections_min: self.sections_min }));
                if !beats.is_empty() {
                    checks.push(evidence(CheckKind::Outline {
                        path: path.clone(),
                        section: None,
                        beats: beats.to_vec(),
                    }));
                }
                checks.extend(self.chapter_checks.iter().map(|kind| plain(about(kind, &path))));
                if !self.canon.is_empty() {
                    checks.push(plain(CheckKind::Canon { path, canon: self.canon.clone() }));
                }
            } else {
                checks.push(evidence(CheckKind::Exists { path: path.clone() }));
                checks.push(plain(CheckKind::Parses { path }));
            }
        }
        checks.extend(self.spec(language).into_iter().flat_map(|l| &l.checks).cloned().map(plain));
        if tested {
            let covers = covers.iter().filter(|id| tested_as_such.contains(*id)).cloned().collect();
            checks.push(Check { kind: CheckKind::Tests, covers });
        }
        checks
    }

    /// Whether a file is a chapter of this domain's books.
    pub fn is_chapter(&self, path: &str) -> bool {
        self.prose && !self.chapters.is_empty() && path.starts_with(&self.chapters) && path.ends_with(".md")
    }
}

/// A domain's check with a file in the place of [`ANY_FILE`].
fn about(kind: &CheckKind, file: &str) -> CheckKind {
    let mut kind = kind.clone();
    if let Some(path) = kind.path_mut().filter(|path| *path == ANY_FILE) {
        file.clone_into(path);
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str) -> Domain {
        Domain::load(name, &Templates::load(None).unwrap()).unwrap()
    }

    #[test]
    fn a_planners_words_for_languages() {
        let codebase = load("codebase");
        for (said, language) in [
            ("python", "python"),
            ("Python 3", "python"),
            ("", "python"),
            ("cobol", "python"),
            ("Node.js", "javascript"),
            ("rust", "rust"),
        ] {
            assert_eq!(codebase.language(said), language, "{said}");
        }
        assert_eq!(load("book").language("python"), "");
    }

    #[test]
    fn only_tests_are_evidence_where_there_are_tests() {
        let checks = load("codebase").checks_for(
            "python",
            &["a.py".into()],
            &["R1".into()],
            &BTreeSet::new(),
            &[],
            None,
        );
        assert!(checks.iter().all(|c| c.covers.is_empty()));
        assert!(checks.iter().any(|c| c.kind == CheckKind::Tests));
    }

    #[test]
    fn a_chapter_is_checked_for_what_the_plan_says() {
        let writes = ["src/chapter-01.md".to_owned()];
        let checks = load("book").checks_for(
            "",
            &writes,
            &["R1".into()],
            &BTreeSet::new(),
            &["a storm".into()],
            Some((300, 900)),
        );
        let kinds: Vec<_> = checks.iter().map(|c| &c.kind).collect();
        assert!(matches!(kinds[0], CheckKind::Words { min: 300, max: 900, .. }), "{kinds:?}");
        assert!(matches!(kinds[2], CheckKind::Outline { .. }));
        assert!(
            matches!(kinds[3], CheckKind::Repetition { path, .. } if path == "src/chapter-01.md"),
            "{kinds:?}"
        );
        assert!(matches!(kinds.last().unwrap(), CheckKind::Canon { .. }));
        assert_eq!(checks[0].covers, ["R1".into()]);
    }

    #[test]
    fn an_unknown_domain_names_the_known_ones() {
        let error = Domain::load("opera", &Templates::load(None).unwrap()).unwrap_err().to_string();
        assert_eq!(error, "there is no domain \"opera\"; there are book, codebase, custom");
    }

    #[test]
    fn a_language_adds_checks_of_its_own() {
        let text = "[[language]]\nname = 'python'\nrunner = 'python'\ntests_run_by = 'x'\n[[language.check]]\nkind = 'lints'\n";
        let domain: Domain = toml::from_str(text).unwrap();
        let checks = domain.checks_for("python", &[], &[], &BTreeSet::new(), &[], None);
        let kinds: Vec<_> = checks.into_iter().map(|c| c.kind).collect();
        assert_eq!(kinds, [CheckKind::Lints, CheckKind::Tests]);
    }

    #[test]
    fn a_directory_of_yours_adds_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("domains/poem")).unwrap();
        std::fs::write(dir.path().join("domains/poem/domain.toml"), "prose = true\nchapters = \"poem\"\n")
            .unwrap();
        let templates = Templates::load(Some(dir.path())).unwrap();
        assert!(Domain::load("poem", &templates).unwrap().prose);
        std::fs::write(dir.path().join("domains/poem/domain.toml"), "prse = true\n").unwrap();
        let templates = Templates::load(Some(dir.path())).unwrap();
        assert!(Domain::load("poem", &templates).unwrap_err().to_string().contains("prse"));
    }
}
