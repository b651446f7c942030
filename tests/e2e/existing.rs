//! Working on repositories that exist: a copy is worked on, on a branch of its own, and what nobody asked to change is, byte
//! for byte, as it was.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use edvac_memory::journal::EXIT_STOPPED_AFTER;

use crate::home::{Home, Said};

/// Git with a name, as a person has it.
fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=ann", "-c", "user.email=ann@example.org", "-c", "safe.directory=*"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const STOCK: &str = "\"\"\"What a shop has.\"\"\"\n\n\nclass Stock:\n    def __init__(self):\n        self.items = {}\n\n    \
                     def add(self, name, count=1):\n        self.items[name] = self.items.get(name, 0) + count\n";
const TEST_STOCK: &str = "import unittest\n\nfrom shop.stock import Stock\n\n\nclass StockTest(unittest.TestCase):\n    \
                          def test_r1_add(self):\n        stock = Stock()\n        stock.add(\"nail\", 2)\n        \
                          self.assertEqual(stock.items, {\"nail\": 2})\n\n    def test_broken_for_long(self):\n        \
                          self.assertEqual(Stock().items, None)\n";
const AGENTS: &str = "# Rules of the shop\n\nEvery method has a docstring of one line.\n";

/// A small program with tests, one of which has failed for long, and with everything that is easily lost.
fn shop(home: &Home) -> PathBuf {
    let repo = home.path().join("shop");
    let write = |path: &str, bytes: &[u8]| {
        let path = repo.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("README.md", b"# Shop\n\nKeeps the stock of a shop.\n");
    write("AGENTS.md", AGENTS.as_bytes());
    write("shop/__init__.py", b"");
    write("shop/stock.py", STOCK.as_bytes());
    write("shop/AGENTS.md", b"Counts are never negative.\n");
    write("tests/test_stock.py", TEST_STOCK.as_bytes());
    write("windows.txt", b"one\r\ntwo\r\n");
    write("logo.bin", &[0, 159, 146, 150, 13, 10, 0]);
    write("run.sh", b"#!/bin/sh\npython3 -m unittest\n");
    std::fs::set_permissions(repo.join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("shop/stock.py", repo.join("stock-link.py")).unwrap();
    git(&repo, &["init", "-q", "-b", "trunk"]);
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-qm", "The shop"]);
    repo
}

const PROGRAM: &str = r#"
title = "remove"
task = "Add a method `remove` to Stock."
domain = "codebase"
language = "python"

[[requirements]]
id = "R1"
text = "`Stock.remove(name)` takes one away; of none it raises KeyError."

[[instructions]]
id = 1
title = "Removing from the stock"
text = "Add `remove(name)` to the class Stock, and tests of it."
covers = ["R1"]
writes = ["shop/stock.py", "tests/test_remove.py"]
attempts_max = 1

[[instructions.checks]]
kind = "tests"
"#;

const REPLY: &str = r#"
[[reply]]
when = ["Your step now: step 1,"]
must_contain = ["Every method has a docstring of one line.", "Counts are never negative.", "def add(self, name, count=1)"]
text = """
@@ write tests/test_remove.py
import unittest

from shop.stock import Stock


class RemoveTest(unittest.TestCase):
    def test_r1_remove_takes_one_away(self):
        stock = Stock()
        stock.add("nail", 2)
        stock.remove("nail")
        self.assertEqual(stock.items, {"nail": 1})

    def test_r1_remove_of_none(self):
        with self.assertRaises(KeyError):
            Stock().remove("nail")
@@ end
@@ edit shop/stock.py
<<<<<<< SEARCH
        self.items[name] = self.items.get(name, 0) + count
=======
        self.items[name] = self.items.get(name, 0) + count

    def remove(self, name):
        \"\"\"Take one away.\"\"\"
        if not self.items.get(name):
            raise KeyError(name)
        self.items[name] -= 1
>>>>>>> REPLACE
@@ end
@@ done Stock has remove.
"""
"#;

/// Every name below `dir` with its kind, mode and bytes.
fn everything(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap().flatten() {
            let meta = entry.path().symlink_metadata().unwrap();
            let name = entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            if meta.is_symlink() {
                let target = std::fs::read_link(entry.path()).unwrap().to_string_lossy().into_owned();
                all.insert(name, (0o120_000, target.into_bytes()));
            } else if !meta.is_dir() {
                all.insert(name, (meta.permissions().mode(), std::fs::read(entry.path()).unwrap()));
            } else if name != ".git" {
                open.push(entry.path());
            }
        }
    }
    all.remove(".git");
    all
}

struct Shop {
    home: Home,
    repo: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let home = Home::new();
        let repo = shop(&home);
        Self { home, repo }
    }

    fn args(&self, program: &str, script: &str, more: &[&str]) -> Vec<String> {
        let (p, s) = (self.home.path().join("program.toml"), self.home.path().join("script.toml"));
        std::fs::write(&p, program).unwrap();
        std::fs::write(&s, script).unwrap();
        let provider = format!("scripted:{}", s.display());
        let (repo, p) = (self.repo.display().to_string(), p.display().to_string());
        let args = ["run", "--in", &repo, "--program", &p, "--provider", &provider];
        args.iter().chain(more).map(|&arg| arg.to_owned()).collect()
    }

    fn run(&self, program: &str, script: &str, more: &[&str]) -> Said {
        let args = self.args(program, script, more);
        self.home.say(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[test]
fn a_feature_is_added_and_everything_else_stays() {
    let shop = Shop::new();
    let Shop { home, repo } = &shop;
    let before = everything(repo);
    let head = git(repo, &["rev-parse", "HEAD"]);
    let said = shop.run(PROGRAM, REPLY, &[]).expect(0);
    assert!(said.stdout.contains("1 of 1 requirements met"), "{}", said.stdout);
    assert!(said.stdout.contains("its tests: 1 of 2 passed"), "{}", said.stdout);
    assert!(said.stdout.contains("test_broken_for_long"), "{}", said.stdout);
    // `test_r1_add` was there before: it shows nothing of what was asked for now.
    let evidence: Vec<_> = said.stdout.lines().filter(|l| l.trim().starts_with("- passed")).collect();
    assert_eq!(evidence.len(), 2, "{evidence:?}");
    assert!(evidence.iter().all(|line| line.contains("remove")), "{evidence:?}");
    assert_eq!(everything(repo), before, "it is never written to");
    assert_eq!(git(repo, &["branch", "--list"]).trim(), "* trunk");
    assert_eq!(git(repo, &["status", "--porcelain"]), "");

    let workspace = home.workspace();
    let mut after = everything(&workspace);
    let (_, stock) = after.remove("shop/stock.py").unwrap();
    assert!(String::from_utf8(stock).unwrap().starts_with(STOCK));
    assert!(after.remove("tests/test_remove.py").is_some());
    let mut unrelated = before.clone();
    unrelated.remove("shop/stock.py");
    assert_eq!(after, unrelated, "bytes, modes and links");
    assert_eq!(git(&workspace, &["status", "--porcelain"]), "");
    assert_eq!(git(&workspace, &["merge-base", "HEAD", head.trim()]), head);

    // Both ways home, as the report says them.
    let report = home.say(&["status", "--json"]).expect(0).json()["report"]["existing"].clone();
    let patch = home.edvac(&["patch", "--last"]).output().unwrap();
    assert!(patch.status.success());
    let file = home.path().join("x.patch");
    std::fs::write(&file, &patch.stdout).unwrap();
    git(repo, &["apply", "--check", file.to_str().unwrap()]);
    let fetch = Command::new("sh").args(["-c", report["fetch"].as_str().unwrap()]).output().unwrap();
    assert!(fetch.status.success(), "{}", String::from_utf8_lossy(&fetch.stderr));
    let branch = report["origin"]["branch"].as_str().unwrap();
    assert_eq!(git(repo, &["log", "--format=%s", &format!("trunk..{branch}")]), "Removing from the stock\n");
    git(repo, &["am", "-q", file.to_str().unwrap()]);
    assert_eq!(git(repo, &["diff", "HEAD", branch]), "", "both lead to the same files");

    // Once more, from the journal and what was there before.
    let said = home.say(&["replay", "--last"]).expect(0);
    assert!(said.stdout.contains("1 tree(s) and 1 commit(s)"), "{}", said.stdout);
    assert!(home.say(&["diff", "--last"]).expect(0).stdout.lines().count() < 60, "only what changed");
}

#[test]
fn what_agents_md_says_is_in_the_prompt_with_its_source() {
    let shop = Shop::new();
    shop.run(PROGRAM, REPLY, &[]).expect(0);
    let said = shop.home.say(&["context", "--last/1", "--json"]).expect(0).json().to_string();
    assert!(
        said.contains(r#""source":"AGENTS.md""#) && said.contains(r#""source":"shop/AGENTS.md""#),
        "{said}"
    );
    // One that is larger than its share is cut, and that is said.
    let shop = Shop::new();
    let rules: String = (0..2000).map(|n| format!("Rule {n} of the shop says nothing new.\n")).collect();
    std::fs::write(shop.repo.join("AGENTS.md"), format!("{AGENTS}{rules}")).unwrap();
    git(&shop.repo, &["commit", "-qam", "Rules"]);
    shop.run(PROGRAM, REPLY, &[]).expect(0);
    let said = shop.home.say(&["context", "--last/1"]).expect(0);
    let named = said.stdout.lines().any(|line| line.contains("AGENTS.md, first "));
    assert!(named && said.stdout.contains("the cap of its kind is reached"), "{}", said.stdout);
}

#[test]
fn existing_tests_count_from_the_beginning() {
    let shop = Shop::new();
    // No new test asks what the old one asked.
    let (before, rest) = REPLY.split_once("    def test_r1_remove_takes_one_away").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let script = format!("{before}{after}").replace(
        "@@ done",
        "@@ edit tests/test_stock.py\n<<<<<<< SEARCH\n        self.assertEqual(stock.items, {\"nail\": 2})\n=======\n        \
         self.assertTrue(stock)\n>>>>>>> REPLACE\n@@ end\n@@ done",
    );
    let said = shop.run(PROGRAM, &script, &["--turns", "1", "--repairs", "0"]).expect(1);
    assert!(said.stdout.contains("integrity") && said.stdout.contains("test_r1_add"), "{}", said.stdout);
    // One that passed before and fails now is held against the run, whatever else failed before.
    let shop = Shop::new();
    let script = REPLY.replace("get(name, 0) + count\n\n", "get(name, 0) + 2 * count\n\n");
    assert_ne!(script, REPLY);
    let said = shop.run(PROGRAM, &script, &["--turns", "1", "--repairs", "0"]).expect(1);
    assert!(said.stdout.contains("tests failed"), "{}", said.stdout);
}

#[test]
fn what_is_not_committed_is_refused_or_taken() {
    let shop = Shop::new();
    let Shop { home, repo } = &shop;
    std::fs::write(repo.join("README.md"), "# Shop\n\nMine.\n").unwrap();
    std::fs::write(repo.join("notes.txt"), "untracked\n").unwrap();
    let said = shop.run(PROGRAM, REPLY, &[]).expect(2);
    assert!(
        said.stderr.contains("README.md") && said.stderr.contains("--include-changes"),
        "{}",
        said.stderr
    );
    assert!(!home.path().join("workspaces").exists(), "nothing was begun");
    let before = everything(repo);
    let said = shop.run(PROGRAM, REPLY, &["--include-changes"]).expect(0);
    assert!(
        said.stderr.contains("with what is not committed there: README.md, notes.txt"),
        "{}",
        said.stderr
    );
    assert_eq!(everything(repo), before);
    let workspace = home.workspace();
    assert_eq!(std::fs::read_to_string(workspace.join("README.md")).unwrap(), "# Shop\n\nMine.\n");
    assert_eq!(
        git(&workspace, &["log", "--format=%s"]),
        "Removing from the stock\nChanges that were not committed\nThe shop\n"
    );
    // The patch is about the run's work alone.
    let patch = home.say(&["patch", "--last"]).expect(0).stdout;
    assert!(!patch.contains("notes.txt") && patch.contains("test_remove.py"));
    // What git does not know is left out, and said.
    git(repo, &["checkout", "-q", "README.md"]);
    let said = shop.run(PROGRAM, REPLY, &[]).expect(0);
    assert!(said.stderr.contains("without notes.txt, which git does not know"), "{}", said.stderr);
}

#[test]
fn what_is_no_repository_is_refused_with_a_way_out() {
    let home = Home::new();
    let script = home.path().join("script.toml");
    std::fs::write(&script, "").unwrap();
    let provider = format!("scripted:{}", script.display());
    let run = |path: &str| home.say(&["run", "--in", path, "--provider", &provider, "add a thing"]).expect(2);
    assert!(run("none").stderr.contains("does not exist"));
    std::fs::create_dir(home.path().join("plain")).unwrap();
    assert!(run("plain").stderr.contains("git init plain"));
    git(&home.path().join("plain"), &["init", "-q"]);
    assert!(run("plain").stderr.contains("has no commit yet"));
    shop(&home);
    assert!(run("shop/tests").stderr.contains("Give the whole repository"));
    assert!(!home.path().join("workspaces").exists());
    assert!(home.run_dirs().is_empty());
}

#[test]
fn workspaces_are_never_put_into_the_repository() {
    let shop = Shop::new();
    let args = shop.args(PROGRAM, REPLY, &[]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let before = everything(&shop.repo);
    let inside = |variables: &[(&str, &str)]| -> Said {
        let mut command = shop.home.edvac(&args);
        command.current_dir(&shop.repo);
        for (name, value) in variables {
            command.env(name, value);
        }
        command.output().unwrap().into()
    };
    let said = inside(&[("EDVAC_WORKSPACES", "workspaces")]).expect(0);
    assert!(said.stdout.contains("state/workspaces/"), "{}", said.stdout);
    inside(&[("EDVAC_WORKSPACES", "workspaces"), ("EDVAC_STATE", "state")]).expect(2);
    assert_eq!(everything(&shop.repo), before);
}

#[test]
fn the_workspace_of_another_run_can_be_worked_on() {
    let shop = Shop::new();
    let Shop { home, .. } = &shop;
    shop.run(PROGRAM, REPLY, &["--name", "one"]).expect(0);
    let first = home.path().join("workspaces/one");
    let before = everything(&first);
    let program = PROGRAM.replace("`remove`", "`clear`").replace("test_remove", "test_clear");
    let script = r#"
[[reply]]
when = ["Your step now: step 1,"]
must_contain = ["def remove(self, name)"]
text = """
@@ write tests/test_clear.py
import unittest

from shop.stock import Stock


class ClearTest(unittest.TestCase):
    def test_r1_clear(self):
        stock = Stock()
        stock.add("nail")
        stock.clear()
        self.assertEqual(stock.items, {})
@@ end
@@ edit shop/stock.py
<<<<<<< SEARCH
    def remove(self, name):
=======
    def clear(self):
        self.items = {}

    def remove(self, name):
>>>>>>> REPLACE
@@ end
@@ done Stock has clear.
"""
"#;
    let second = Shop { home: Home::new(), repo: first.clone() };
    second.run(&program, script, &[]).expect(0);
    assert_eq!(everything(&first), before);
    let log = git(&second.home.workspace(), &["log", "--format=%s"]);
    assert_eq!(log.lines().count(), 3, "{log}");
}

#[test]
fn it_dies_after_every_record_and_is_taken_back() {
    let whole = Shop::new();
    whole.run(PROGRAM, REPLY, &[]).expect(0);
    let outcome = |shop: &Shop| {
        let workspace = shop.home.workspace();
        assert_eq!(git(&workspace, &["status", "--porcelain"]), "");
        (git(&workspace, &["rev-parse", "HEAD^{tree}"]), git(&workspace, &["log", "--format=%s"]))
    };
    let expected = outcome(&whole);
    let records = whole.home.records().len();
    // The program that was handed in is the second record.
    for stop_after in 2..records {
        let shop = Shop::new();
        let args = shop.args(PROGRAM, REPLY, &[]);
        let mut died = shop.home.edvac(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let died = died.env("EDVAC_TEST_STOP_AFTER", stop_after.to_string()).output().unwrap();
        assert_eq!(died.status.code(), Some(EXIT_STOPPED_AFTER), "after record {stop_after}");
        shop.home.say(&["resume", "--last"]).expect(0);
        assert_eq!(outcome(&shop), expected, "died after record {stop_after} of {records}");
    }
    // Taken back, the copy is what the repository is.
    whole.home.say(&["undo", "--last/1"]).expect(0);
    assert_eq!(everything(&whole.home.workspace()), everything(&whole.repo));
    assert_eq!(git(&whole.home.workspace(), &["log", "--format=%s"]), "The shop\n");
    whole.home.say(&["patch", "--last"]).expect(2);
    whole.home.say(&["resume", "--last"]).expect(0);
    assert_eq!(outcome(&whole), expected);
    // A fork has the same beginning.
    whole.home.say(&["fork", "--last", "--from", "1", "--name", "fork", "--paused"]).expect(0);
    assert_eq!(everything(&whole.home.path().join("workspaces/fork")), everything(&whole.repo));
}

/// A planner's reply and a worker's for a task that is planned, in a window of eight thousand tokens.
const PLANNED: &str = r#"
window_tokens = 8192

[[reply]]
when = ["You write the plan of a project"]
must_contain = [
    "shop/stock.py (9 lines", "Keeps the stock of a shop.", "Every method has a docstring of one line.",
    "Its tests: 1 of 2 passed", "The project exists already",
]
text = """
TITLE: remove
LANGUAGE: rust
REQUIREMENT R1: `Stock.remove(name)` takes one away; of none it raises KeyError.
STEP 1: Removing from the stock
WRITES: stock.py, test_remove.py
READS: test_stock.py
COVERS: R1
DO: Add `remove(name)` to the class Stock, and tests of it.
END
"""
"#;

#[test]
fn changes_of_what_exists_are_planned() {
    let shop = Shop::new();
    let script = shop.home.path().join("script.toml");
    std::fs::write(&script, format!("{PLANNED}{REPLY}")).unwrap();
    let provider = format!("scripted:{}", script.display());
    let repo = shop.repo.display().to_string();
    let said =
        shop.home.say(&["run", "--in", &repo, "--provider", &provider, "Nails can be taken away"]).expect(0);
    assert!(said.stdout.contains("1 of 1 requirements met"), "{}", said.stdout);
    let program = shop.home.say(&["show", "--last", "--json"]).expect(0).json()["program"].clone();
    assert_eq!(program["language"], "python", "as it is, whatever the planner says");
    let step = &program["instructions"][0];
    assert_eq!(step["writes"].to_string(), r#"["shop/stock.py","tests/test_remove.py"]"#, "where they are");
    assert_eq!(step["reads"].to_string(), r#"["tests/test_stock.py"]"#);
}

/// A module of 4,000 lines, of which the 3,501st is wrong.
fn long_module() -> String {
    let mut text = "\"\"\"Prices of a shop.\"\"\"\n\n".to_owned();
    for n in 0..1000 {
        let wrong = if n == 874 { " + 1" } else { "" };
        text += &format!(
            "def price_of_part_{n}(count):\n    # Part {n} costs {n} a piece.\n    return {n} * count{wrong}\n\n"
        );
    }
    text
}

#[test]
fn a_file_larger_than_the_window_is_read_in_ranges_and_edited() {
    let shop = Shop::new();
    let text = long_module();
    std::fs::write(shop.repo.join("shop/prices.py"), &text).unwrap();
    git(&shop.repo, &["add", "-A"]);
    git(&shop.repo, &["commit", "-qm", "Prices"]);
    let program = PROGRAM
        .replace(
            "`Stock.remove(name)` takes one away; of none it raises KeyError.",
            "`price_of_part_874` costs 874 a piece.",
        )
        .replace(
            "Add `remove(name)` to the class Stock, and tests of it.",
            "Mend `price_of_part_874`, and test it.",
        )
        .replace("shop/stock.py", "shop/prices.py")
        .replace("test_remove", "test_prices");
    // Eight thousand tokens hold an eighth of it. The worker sees its outline and the lines that the step is about, asks for
    // others, tries to write it whole, and then changes the one line.
    let script = r#"
window_tokens = 8192

[[reply]]
when = ["Your step now: step 1,"]
must_contain = ["File shop/prices.py, parts of its 4002 lines", "return 874 * count + 1", "more are not named", "price_of_part_0"]
text = "@@ read shop/prices.py 3990-4100"

[[reply]]
when = ["Your step now: step 1,"]
turn = 1
last_must_contain = ["lines 3990-4002 of 4002", "return 999 * count"]
text = """
@@ write shop/prices.py
def price_of_part_874(count):
    return 874 * count
@@ end
@@ done Written.
"""

[[reply]]
when = ["Your step now: step 1,"]
turn = 2
last_must_contain = ["`@@ write` would leave 2 of them", "`@@ edit`"]
text = """
@@ write tests/test_prices.py
import unittest

from shop.prices import price_of_part_874


class PriceTest(unittest.TestCase):
    def test_r1_price(self):
        self.assertEqual(price_of_part_874(2), 1748)
@@ end
@@ edit shop/prices.py
<<<<<<< SEARCH
    return 874 * count + 1
=======
    return 874 * count
>>>>>>> REPLACE
@@ end
@@ done It costs what it says.
"""
"#;
    shop.run(&program, script, &[]).expect(0);
    let made = std::fs::read_to_string(shop.home.workspace().join("shop/prices.py")).unwrap();
    assert_eq!(made, text.replace("874 * count + 1", "874 * count"));
    let context = shop.home.say(&["context", "--last/1", "--json"]).expect(0).json();
    let tokens = |prompt: &serde_json::Value| -> u64 {
        prompt["context"]["fragments"].as_array().unwrap().iter().filter_map(|f| f["tokens"].as_u64()).sum()
    };
    assert!(tokens(&context["prompts"][0]) <= 8192 - 2048, "{context}");
}

/// Adds files to the shop and commits them.
fn with_files(repo: &Path, count: usize) {
    for n in 0..count {
        let dir = repo.join(format!("parts/group{:02}/row{}", n % 40, n % 3));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(
            dir.join(format!("part_{n}.py")),
            format!("\"\"\"Part {n}.\"\"\"\n\n\ndef name():\n    return {n}\n"),
        )
        .unwrap();
    }
    git(repo, &["add", "-A"]);
    git(repo, &["commit", "-qm", "Parts"]);
}

/// Files that a listing names or counts.
fn accounted(listing: &str) -> usize {
    let of = |line: &str| match line.split_once(" files, ") {
        Some((before, _)) => before.rsplit(' ').next().unwrap().parse().unwrap(),
        None => usize::from(line.contains(" bytes)") || line.contains(" bytes, step")),
    };
    listing.lines().map(of).sum()
}

#[test]
fn many_files_are_listed_within_the_budget() {
    for count in [200, 3000] {
        let shop = Shop::new();
        with_files(&shop.repo, count);
        let script = format!("window_tokens = 8192\n{REPLY}");
        shop.run(PROGRAM, &script, &[]).expect(0);
        let context = shop.home.say(&["context", "--last/1", "--text", "--json"]).expect(0).json();
        let fragments = context["prompts"][0]["context"]["fragments"].as_array().unwrap().clone();
        let listing = fragments.iter().find(|f| f["kind"] == "listing").unwrap();
        assert!(listing["tokens"].as_u64().unwrap() <= 8192 / 12, "{listing}");
        let text = listing["text"].as_str().unwrap();
        assert!(text.contains("shop/stock.py (9 lines"), "what the step is about keeps its line: {text}");
        let tracked = git(&shop.repo, &["ls-files"]).lines().count();
        assert_eq!(accounted(text), tracked - 1, "all but the link are named or counted: {text}");
    }
}
