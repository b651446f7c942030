//! Python: a small loader of ours over `unittest`, which also takes plain `test_` functions. It writes one JSON line
//! a test, so that nothing has to be read out of what is printed.

use std::path::Path;

use super::{OUT, Results, Runner};
use crate::check::tests_run::javascript::{new_key, read_lines};
use crate::sandbox::Outcome as Ran;

const LOADER: &str = include_str!("loader.py");

pub(super) struct Python;

impl Runner for Python {
    fn needs(&self) -> (&'static str, &'static str) {
        ("python3", "install Python 3")
    }

    fn command(&self, out: &Path) -> std::io::Result<Vec<String>> {
        std::fs::write(out.join("loader.py"), LOADER)?;
        let key = new_key(out)?;
        Ok(["python3".to_owned(), format!("{OUT}/loader.py"), format!("{OUT}/results.jsonl"), key].to_vec())
    }

    fn read(&self, ran: &Ran, out: &Path) -> Results {
        read_lines(ran, out)
    }
}
