//! The texts of prompts: embedded in the binary, and replaceable one by one from a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Serialize;
use tera::{Context, Tera};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../templates");

/// Largest template file; they are prompts, not data.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// Deepest folder of an override directory.
const DEPTH_MAX: usize = 6;

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The override directory or a file in it cannot be read.
    #[error("the templates in {path} cannot be read: {why}")]
    Unreadable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Nothing has this name.
    #[error("there is no template {name}, neither built in{}; add that file", beside(dir.as_deref()))]
    Missing {
        /// Its name.
        name: String,
        /// The override directory, if there is one.
        dir: Option<PathBuf>,
    },
    /// It is not a template, or speaks of something that its view does not have.
    #[error("template {origin}: {why}")]
    Invalid {
        /// The file, or the built-in name.
        origin: String,
        /// What is wrong.
        why: String,
    },
}

fn beside(dir: Option<&Path>) -> String {
    dir.map_or_else(
        || " nor in a templates directory of yours".to_owned(),
        |d| format!(" nor in {}", d.display()),
    )
}

/// All templates, by their path below the templates directory: `prompts/worker/system.md`.
pub struct Templates {
    tera: Tera,
    texts: BTreeMap<String, String>,
    overrides: BTreeMap<String, PathBuf>,
    dir: Option<PathBuf>,
}

impl Templates {
    /// The built-in templates; where `dir` has a file of the same name, that one.
    pub fn load(dir: Option<&Path>) -> Result<Self, TemplateError> {
        let mut texts = BTreeMap::new();
        embedded(&EMBEDDED, &mut texts);
        let mut overrides = BTreeMap::new();
        if let Some(dir) = dir {
            collect(dir, dir, 0, &mut overrides)?;
            for (name, path) in &overrides {
                texts.insert(name.clone(), read(path)?);
            }
        }
        let mut templates = Self { tera: Tera::default(), texts, overrides, dir: dir.map(Path::to_owned) };
        templates.compile()?;
        Ok(templates)
    }

    /// Prompts are Tera templates; everything else is kept as text. One at a time, so that an error has its file.
    fn compile(&mut self) -> Result<(), TemplateError> {
        let mut tera = Tera::default();
        for (name, text) in self.texts.iter().filter(|(name, _)| is_markdown(name)) {
            tera.add_raw_template(name, text).map_err(|error| self.invalid(name, &error))?;
        }
        self.tera = tera;
        Ok(())
    }

    /// The text of `name` as it stands in its file.
    pub fn text(&self, name: &str) -> Result<&str, TemplateError> {
        self.texts.get(name).map(String::as_str).ok_or_else(|| self.missing(name))
    }

    /// Names that begin with `prefix`, sorted.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.texts.keys().map(String::as_str).filter(move |n| n.starts_with(prefix))
    }

    /// The text of `name` for one view, without white space at its ends.
    pub fn render(&self, name: &str, view: &impl Serialize) -> Result<String, TemplateError> {
        if !self.tera.contains_template(name) {
            return Err(self.missing(name));
        }
        Context::from_serialize(view)
            .and_then(|context| self.tera.render(name, &context))
            .map(|text| text.trim().to_owned())
            .map_err(|error| self.invalid(name, &error))
    }

    fn missing(&self, name: &str) -> TemplateError {
        TemplateError::Missing { name: name.to_owned(), dir: self.dir.clone() }
    }

    fn invalid(&self, name: &str, error: &tera::Error) -> TemplateError {
        let origin = match self.overrides.get(name) {
            Some(path) => path.display().to_string(),
            None => format!("{name} (built in)"),
        };
        TemplateError::Invalid { origin, why: error.to_string() }
    }
}

fn is_markdown(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e == "md")
}

fn embedded(dir: &Dir<'_>, texts: &mut BTreeMap<String, String>) {
    for file in dir.files() {
        if let (Some(name), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
            texts.insert(name.replace('\\', "/"), text.to_owned());
        }
    }
    for inner in dir.dirs() {
        embedded(inner, texts);
    }
}

fn unreadable(path: &Path, why: &impl ToString) -> TemplateError {
    TemplateError::Unreadable { path: path.to_owned(), why: why.to_string() }
}

/// The files below `dir`, by their path relative to `root`. Hidden files are nobody's template.
fn collect(
    root: &Path,
    dir: &Path,
    depth: usize,
    found: &mut BTreeMap<String, PathBuf>,
) -> Result<(), TemplateError> {
    if depth > DEPTH_MAX {
        return Err(unreadable(dir, &format!("it is nested more than {DEPTH_MAX} folders deep")));
    }
    for entry in std::fs::read_dir(dir).map_err(|e| unreadable(dir, &e))? {
        let path = entry.map_err(|e| unreadable(dir, &e))?.path();
        if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, depth + 1, found)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            found.insert(name.replace('\\', "/"), path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, TemplateError> {
    let bytes = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(path, &format!("it has {bytes} bytes, at most {FILE_BYTES_MAX} are allowed")));
    }
    std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))
}

#[cfg(test)]
#[path = "templates_tests.rs"]
mod tests;
