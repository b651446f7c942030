//! Pages and their parts: templates in `assets/`, compiled once. What a run or a model says is escaped wherever it stands.

use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use serde::Serialize;
use tera::{Context, Tera};

static ASSETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/assets");

/// All templates. One that cannot be compiled is a fault of this program, which its tests find.
static TEMPLATES: LazyLock<Tera> = LazyLock::new(|| {
    let mut tera = Tera::default();
    let templates = files(&ASSETS).into_iter().filter(|(name, _)| name.ends_with(".html"));
    if let Err(error) = tera.add_raw_templates(templates) {
        tracing::error!("the built-in templates: {error:?}");
    }
    tera
});

/// A page.
pub(crate) fn page(name: &str, view: &impl Serialize) -> Result<String, tera::Error> {
    TEMPLATES.render(name, &Context::from_serialize(view)?)
}

/// A part of a page: `step-7` is made of `parts/step.html`.
pub(crate) fn part(name: &str, view: &impl Serialize) -> Result<String, tera::Error> {
    let (kind, _) = name.split_once('-').unwrap_or((name, ""));
    page(&format!("parts/{kind}.html"), view)
}

fn files(dir: &'static Dir<'static>) -> Vec<(String, &'static str)> {
    let own = dir.files().filter_map(|f| Some((f.path().to_str()?.to_owned(), f.contents_utf8()?)));
    own.chain(dir.dirs().flat_map(files)).collect()
}

/// A file that pages fetch: its content and its type.
pub(crate) fn asset(name: &str) -> Option<(&'static [u8], &'static str)> {
    let kind = match name.rsplit('.').next()? {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    ASSETS.get_file(name).map(|file| (file.contents(), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_compiles_and_escapes() {
        let view = serde_json::json!({ "title": "<b>&", "why": "<script>" });
        let page = super::page("problem.html", &view).unwrap();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
    }

    #[test]
    fn templates_are_not_handed_out() {
        assert!(asset("app.css").is_some() && asset("app.js").is_some());
        assert!(asset("runs.html").is_none() && asset("../src/lib.rs").is_none());
    }
}
