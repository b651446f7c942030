//! For tests: a check on some files, in the real sandbox.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use edvac_agents::templates::Templates;
use edvac_memory::program::{Check, CheckKind};
use edvac_memory::store::{Edit, FileStore, GitStore};
use edvac_memory::verdict::CheckReport;

use super::{Counted, Ground, Inventories, run_check};
use crate::dependencies::Supply;
use crate::domain::Domain;
use crate::sandbox::{self, Sandbox, Toolchains};

/// Executes a check on `files`, in the domain for programs.
pub(super) async fn report_on(kind: CheckKind, language: &str, files: &[(&str, &str)]) -> CheckReport {
    report_on_moody(kind, language, files, "").await
}

/// The same; `mood` is a file that is there from the second time on that the files are put somewhere.
pub(super) async fn report_on_moody(
    kind: CheckKind,
    language: &str,
    files: &[(&str, &str)],
    mood: &str,
) -> CheckReport {
    report(kind, language, files, mood, &Counted::default()).await
}

/// Runs Python tests that may not ask less than those that counted.
pub(super) async fn report_with(counted: &Counted, files: &[(&str, &str)]) -> CheckReport {
    report(CheckKind::Tests, "python", files, "", counted).await
}

/// Runs Python tests with the Python that `EDVAC_TEST_PYTHON` names, which has pytest; none where there is none.
pub(super) async fn report_by_pytest(files: &[(&str, &str)]) -> Option<CheckReport> {
    let python = std::env::var("EDVAC_TEST_PYTHON").ok()?;
    let toolchains = Toolchains::with(&python);
    let sandbox = sandbox::open_with(toolchains).await.unwrap_or_else(|r| panic!("{} {}", r.why, r.fix));
    Some(report_in(sandbox.as_ref(), CheckKind::Tests, "python", files, "", &Counted::default()).await)
}

async fn report(
    kind: CheckKind,
    language: &str,
    files: &[(&str, &str)],
    mood: &str,
    counted: &Counted,
) -> CheckReport {
    let sandbox = sandbox::open().await.unwrap_or_else(|r| panic!("{} {}", r.why, r.fix));
    report_in(sandbox.as_ref(), kind, language, files, mood, counted).await
}

async fn report_in(
    sandbox: &dyn Sandbox,
    kind: CheckKind,
    language: &str,
    files: &[(&str, &str)],
    mood: &str,
    counted: &Counted,
) -> CheckReport {
    let domain = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
    let mut store = GitStore::ram().unwrap();
    let empty = store.empty_tree().unwrap();
    let edits: Vec<_> =
        files.iter().map(|&(path, text)| Edit::Write { path: path.into(), content: text.into() }).collect();
    let tree = store.apply(&empty, &edits).unwrap();
    let store = Mutex::new(Box::new(store) as Box<dyn FileStore>);
    let scratch = tempfile::tempdir().unwrap();
    let times = AtomicUsize::new(0);
    let export = |dir: &Path| {
        if times.fetch_add(1, Ordering::SeqCst) > 0 && !mood.is_empty() {
            std::fs::write(dir.join(mood), "").unwrap();
        }
        store.lock().unwrap().export(&tree, dir)
    };
    let ground = Ground {
        store: &store,
        tree: &tree,
        language,
        sandbox: Ok(sandbox),
        export: &export,
        scratch: scratch.path(),
        counted,
        inventories: &Inventories::default(),
        supply: &Supply::default(),
        domain: &domain,
    };
    let report = run_check(&Check { kind, covers: vec![] }, &ground).await;
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "a check leaves nothing behind");
    report
}
