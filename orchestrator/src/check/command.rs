//! Checks that run a command line and look at what came of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use edvac_memory::program::Expected;
use edvac_memory::verdict::Verdict;
use similar::TextDiff;

use super::bench::{Bench, OUT, last_line, left_in, not_of_the_project};
use super::expressions::compiled;
use super::text::{some_lines, steady};
use super::{Found, Ground};
use crate::sandbox::Outcome;

/// Wall time of a command that a check runs.
pub(super) const COMMAND_MS_MAX: u64 = 60_000;
/// Wall time of a build or a linter.
const BUILD_MS_MAX: u64 = 300_000;
/// Lines of output that are kept, the last ones.
const DETAIL_LINES_MAX: usize = 60;
/// Characters of what was printed instead that a reason has.
const SHOWN_CHARS_MAX: usize = 120;
/// By these words a shell says that there is no such command.
pub(super) const NOT_FOUND_WORDS: [&str; 2] = [": not found", "command not found"];
/// What is said of a path where nothing is.
const ABSENT: &str = "does not exist";

/// What one language's project is built, or looked through, with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    /// The program without which nothing can be run, and how it is had.
    needs: (&'static str, &'static str),
    /// The command line, for `sh`.
    command: &'static str,
}

/// How a language's project is built. For languages without compilers this is: every file compiles.
pub(super) fn builder(runner: &str) -> Option<Tool> {
    let tool = |program, fix, command| Some(Tool { needs: (program, fix), command });
    match runner {
        "python" => tool("python3", "install Python 3", "python3 -m compileall -q ."),
        "javascript" => tool(
            "node",
            "install Node.js 20 or newer",
            "find . -name node_modules -prune -o \\( -name '*.js' -o -name '*.mjs' -o -name '*.cjs' \\) -print0 | xargs -0 -r -n 1 node --check",
        ),
        "rust" => tool(
            "cargo",
            "install Rust",
            "CARGO_HOME=/tmp/cargo CARGO_TARGET_DIR=/out/target cargo build --offline --all-targets --quiet",
        ),
        "go" => {
            tool("go", "install Go", "GOCACHE=/out/cache GOPATH=/tmp/go GOTOOLCHAIN=local go build ./...")
        }
        _ => None,
    }
}

/// How a language's project is looked through for likely faults.
pub(super) fn linter(runner: &str) -> Option<Tool> {
    let tool = |program, fix, command| Some(Tool { needs: (program, fix), command });
    match runner {
        "python" => tool("ruff", "pip install ruff", "ruff check --no-cache ."),
        "javascript" => tool("eslint", "npm install --global eslint", "eslint ."),
        "rust" => tool(
            "cargo-clippy",
            "rustup component add clippy",
            "CARGO_HOME=/tmp/cargo CARGO_TARGET_DIR=/out/target cargo clippy --offline --all-targets --quiet -- -D warnings",
        ),
        "go" => tool("go", "install Go", "GOCACHE=/out/cache GOPATH=/tmp/go GOTOOLCHAIN=local go vet ./..."),
        _ => None,
    }
}

/// Runs a builder or a linter.
pub(super) async fn tool(tool: Option<Tool>, ground: &Ground<'_>) -> Found {
    let Some(tool) = tool else {
        return Found::nothing(format!("there is no such tool for {:?}", ground.language));
    };
    let tried = async {
        let bench = Bench::of(ground)?;
        bench.needs(tool.needs)?;
        bench.run(&bench.job(shell(tool.command), BUILD_MS_MAX)).await
    };
    let ran = match tried.await {
        Ok(ran) => ran,
        Err(reason) => return Found::nothing(reason),
    };
    let verdict = not_of_the_project(&ran).unwrap_or_else(|| match ran.exit_status {
        Some(0) => Verdict::Passed,
        _ => Verdict::Failed { reason: last_line(&steady(&ran.output)).to_owned() },
    });
    of_command(verdict, tool.command, &ran)
}

/// Runs a command line with some input, and looks at its exit status and output.
pub(super) async fn runs(
    command: &str,
    input: Option<&str>,
    exit_status: i32,
    expected: &Expected,
    ground: &Ground<'_>,
) -> Found {
    let tried = async {
        let bench = Bench::of(ground)?;
        let line = match input {
            Some(text) => {
                let written = std::fs::write(bench.out.join("input"), text);
                written.map_err(|e| format!("its input cannot be written: {e}"))?;
                format!("{{ {command}\n}} < {OUT}/input")
            }
            None => command.to_owned(),
        };
        bench.run(&bench.job(shell(&line), COMMAND_MS_MAX)).await
    };
    let ran = match tried.await {
        Ok(ran) => ran,
        Err(reason) => return Found::nothing(reason),
    };
    // A status that is asked for is no accident, whatever it means to a shell; unless nothing was there to have it.
    let is_missing = NOT_FOUND_WORDS.iter().any(|words| last_line(&ran.output).contains(words));
    let accident = not_of_the_project(&ran).filter(|verdict| {
        let nothing_ran = is_missing && matches!(verdict, Verdict::NoEvidence { .. });
        ran.limit.is_some() || nothing_ran || ran.exit_status != Some(exit_status)
    });
    let verdict = accident.unwrap_or_else(|| {
        if ran.exit_status != Some(exit_status) {
            let was = ran.exit_status.map_or("none".to_owned(), |s| s.to_string());
            return Verdict::Failed { reason: format!("its exit code is {was}, {exit_status} was expected") };
        }
        match differs(&ran.output, expected) {
            Ok(None) => Verdict::Passed,
            Ok(Some(why)) => Verdict::Failed { reason: format!("its output {why}") },
            Err(why) => Verdict::NoEvidence { reason: why },
        }
    });
    let mut found = of_command(verdict, command, &ran);
    if matches!(found.verdict, Verdict::Failed { .. }) {
        let must = expected.words();
        let must = if must.is_empty() { must } else { format!("Its output must {must}. ") };
        let status = ran.exit_status.map_or("none".to_owned(), |status| status.to_string());
        let printed = if found.detail.is_empty() { "nothing" } else { found.detail.trim_end() };
        found.causes.push(format!(
            "`{command}` prints:\n{printed}\n{must}Its exit status is {status} and must be {exit_status}."
        ));
    }
    found
}

/// Runs a command line, if there is one, and compares files with what they should hold.
pub(super) async fn golden(
    command: Option<&str>,
    files: &BTreeMap<String, String>,
    ground: &Ground<'_>,
) -> Found {
    let compared = |read: &dyn Fn(&str) -> Result<Vec<u8>, &'static str>| {
        let differs = |(path, text): (&String, &String)| match read(path) {
            Ok(is) => unlike(path, &is, text),
            Err(instead) => Some((format!("{path} {instead}"), String::new())),
        };
        let first = files.iter().find_map(differs);
        first.map_or_else(Found::passed, |(reason, detail)| Found::failed(reason).with_detail(detail))
    };
    let Some(command) = command else {
        return compared(&|path| ground.store.read(ground.tree, path).map_err(|_| ABSENT));
    };
    let bench = match Bench::of(ground) {
        Ok(bench) => bench,
        Err(reason) => return Found::nothing(reason),
    };
    // What is there already may not be taken for what the command makes.
    let there: Vec<_> = files.keys().filter(|path| make_old(&bench.work.join(path))).collect();
    let ran = match bench.run(&bench.job(shell(command), COMMAND_MS_MAX)).await {
        Ok(ran) => ran,
        Err(reason) => return Found::nothing(reason),
    };
    if let Some(verdict) = not_of_the_project(&ran) {
        return of_command(verdict, command, &ran);
    }
    if ran.exit_status != Some(0) {
        let reason = format!("`{command}` failed: {}", last_line(&steady(&ran.output)));
        return of_command(Verdict::Failed { reason }, command, &ran);
    }
    if let Some(path) = there.iter().find(|path| is_old(&bench.work.join(path))) {
        let reason = format!(
            "{path} was there before `{command}`, which did not write it, so it is not what it makes"
        );
        return of_command(Verdict::NoEvidence { reason }, command, &ran);
    }
    let found = compared(&|path| {
        let path = bench.work.join(path);
        left_in(&path).ok_or_else(|| instead(&path))
    });
    Found { detail: found.detail, ..of_command(found.verdict, command, &ran) }
}

/// Gives a file a time that nothing writes; false where there is none.
fn make_old(path: &Path) -> bool {
    let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    is_file
        && std::fs::File::options().write(true).open(path).is_ok_and(|f| f.set_modified(UNIX_EPOCH).is_ok())
}

/// Whether a file still has that time.
fn is_old(path: &Path) -> bool {
    path.symlink_metadata().and_then(|meta| meta.modified()).is_ok_and(|time| time == UNIX_EPOCH)
}

/// What is where a file should be and none can be read.
fn instead(path: &Path) -> &'static str {
    match path.symlink_metadata().map(|meta| meta.file_type()) {
        Ok(kind) if kind.is_dir() => "is a directory",
        Ok(kind) if kind.is_symlink() => "is a symbolic link, which is not followed",
        Ok(kind) if kind.is_file() => "cannot be read",
        Ok(_) => "is no file with contents",
        Err(_) => ABSENT,
    }
}

/// How a file differs from what it should hold, in one line and as a diff.
fn unlike(path: &str, is: &[u8], should: &str) -> Option<(String, String)> {
    let Ok(is) = std::str::from_utf8(is) else {
        return Some((format!("{path} is not UTF-8 text"), String::new()));
    };
    let (is, should) = (lines(is), lines(should));
    if is == should {
        return None;
    }
    let diff = TextDiff::from_lines(&should, &is);
    let diff = diff.unified_diff().header("expected", path).to_string();
    Some((format!("{path} is not what was expected"), some_lines(&diff, 0)))
}

/// A text without what no person sees.
fn lines(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Why a text is not as expected: none if it is, an error where that cannot be said.
pub(super) fn differs(text: &str, expected: &Expected) -> Result<Option<String>, String> {
    let shown = || {
        let short: String = text.trim().chars().take(SHOWN_CHARS_MAX).collect();
        if short.is_empty() { "it is empty".to_owned() } else { format!("it is {short:?}") }
    };
    if let Some(equals) = &expected.equals
        && lines(text).trim() != lines(equals).trim()
    {
        return Ok(Some(format!("is not {equals:?}; {}", shown())));
    }
    if let Some(missing) = expected.contains.iter().find(|part| !text.contains(*part)) {
        return Ok(Some(format!("does not contain {missing:?}; {}", shown())));
    }
    if let Some(there) = expected.lacks.iter().find(|part| text.contains(*part)) {
        return Ok(Some(format!("contains {there:?}, which it must not")));
    }
    let Some(pattern) = &expected.matches else { return Ok(None) };
    let regex = compiled(pattern)
        .map_err(|why| format!("the check's expression /{pattern}/ cannot be used: {why}"))?;
    Ok((!regex.is_match(text)).then(|| format!("does not match /{pattern}/; {}", shown())))
}

pub(super) fn shell(line: &str) -> Vec<String> {
    ["sh", "-c", line].map(str::to_owned).to_vec()
}

/// What there is to say about a command that was run.
pub(super) fn of_command(verdict: Verdict, command: &str, ran: &Outcome) -> Found {
    let output = steady(&ran.output);
    let passed = verdict.is_passed();
    let from = output.lines().count().saturating_sub(DETAIL_LINES_MAX);
    Found {
        detail: if passed { String::new() } else { some_lines(&output, from) },
        command: command.split_whitespace().map(str::to_owned).collect(),
        exit_status: ran.exit_status,
        resources: Some(ran.resources),
        output: ran.output.clone(),
        ..Found::of(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_must_be_like() {
        let why = |text: &str, toml: &str| {
            differs(text, &toml::from_str(toml).unwrap()).unwrap().unwrap_or_default()
        };
        assert_eq!(why("1 milk \n", "equals = '1 milk'"), "");
        assert_eq!(why("2 milk", "equals = '1 milk'"), "is not \"1 milk\"; it is \"2 milk\"");
        assert_eq!(why("", "contains = ['milk']"), "does not contain \"milk\"; it is empty");
        assert_eq!(
            why("a Traceback b", "lacks = ['Traceback']"),
            "contains \"Traceback\", which it must not"
        );
        assert_eq!(why("a 12 b", "matches = '[0-9]{2}'"), "");
        assert!(why("a b", "matches = '[0-9]'").starts_with("does not match /[0-9]/"));
        let bad = Expected { matches: Some("(".into()), ..Expected::default() };
        assert!(differs("x", &bad).unwrap_err().contains("cannot be used"));
    }

    #[test]
    fn files_are_compared_as_people_read_them() {
        assert_eq!(unlike("a", b"x \ny\n\n", "x\ny"), None);
        let (reason, diff) = unlike("a", b"x\nz\n", "x\ny").unwrap();
        assert_eq!(reason, "a is not what was expected");
        assert!(diff.contains("-y") && diff.contains("+z"), "{diff}");
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("link")).unwrap();
        assert_eq!(instead(directory.path()), "is a directory");
        assert_eq!(instead(&directory.path().join("link")), "is a symbolic link, which is not followed");
        assert_eq!(instead(&directory.path().join("none")), "does not exist");
    }
}
