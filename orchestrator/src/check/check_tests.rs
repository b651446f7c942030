//! Checks that run commands, in the real sandbox.

use edvac_memory::verdict::{CheckReport, Limit, Outcome, Verdict};

use super::testing::{report_by_pytest, report_on, report_on_moody, report_with};
use super::*;

/// A check as a program's file would spell it.
async fn report(toml: &str, files: &[(&str, &str)]) -> CheckReport {
    let kind = toml::from_str::<Check>(toml).unwrap().kind;
    report_on(kind, "python", files).await
}

/// `passed`, or the verdict's name and reason.
async fn verdict(toml: &str, files: &[(&str, &str)]) -> String {
    let verdict = report(toml, files).await.verdict;
    if verdict.is_passed() {
        "passed".to_owned()
    } else {
        format!("{}: {}", verdict.name(), verdict.reason())
    }
}

#[tokio::test]
async fn a_command_does_what_is_expected() {
    let files = [("add.py", "import sys\nprint(sum(int(line) for line in sys.stdin))\n")];
    let runs =
        |more: &str| format!("kind = 'runs'\ncommand = 'python3 add.py'\ninput = \"1\\n2\\n\"\n{more}");
    assert_eq!(verdict(&runs("output = { equals = '3' }"), &files).await, "passed");
    assert_eq!(
        verdict(&runs("output = { equals = '4' }"), &files).await,
        "failed: its output is not \"4\"; it is \"3\""
    );
    assert_eq!(verdict(&runs("exit_status = 2"), &files).await, "failed: its exit code is 0, 2 was expected");
    let exits = "kind = 'runs'\ncommand = 'exit 134'\nexit_status = 134";
    assert_eq!(verdict(exits, &[]).await, "passed", "a status that is asked for is no accident");
    let exits = "kind = 'runs'\ncommand = 'exit 127'\nexit_status = 127";
    assert_eq!(verdict(exits, &[]).await, "passed", "a program may end like this by itself");
    let missing = "kind = 'runs'\ncommand = 'no-such-command'\nexit_status = 127";
    assert!(verdict(missing, &[]).await.starts_with("no evidence: a command is not installed"));
}

#[tokio::test]
async fn a_program_starts_whatever_it_is_given() {
    let main = "import sys\nfrom store import load\nprint(load(int(sys.argv[1])))\n";
    let starts = "kind = 'starts'\ncommands = ['true', 'python3 main.py NUMBER']";
    let with = async |store: &str| verdict(starts, &[("main.py", main), ("store.py", store)]).await;
    assert_eq!(
        with("def load(number):\n    return number\n").await,
        "passed",
        "NUMBER is none: a ValueError"
    );
    let missing = with("def save():\n    pass\n").await;
    assert!(
        missing.starts_with("failed: `python3 main.py NUMBER`: ImportError: cannot import name"),
        "{missing}"
    );
    assert!(with("def load(:\n").await.contains("SyntaxError"));
    let waits = "kind = 'starts'\ncommands = ['python3 -c \"import sys; print(sys.stdin.read())\"']";
    assert_eq!(verdict(waits, &[]).await, "passed", "there is no input");
    let hidden = with("def load(number):\n    return number\n\ndef other():\n    return lost(1)\n").await;
    assert_eq!(hidden, "failed: store.py calls `lost` in line 5, and it is not defined there, nor imported");
    let mute = "kind = 'starts'\ncommands = ['python3 main.py a', 'python3 main.py b 1']";
    let files = [("main.py", "import sys\n\ndef main():\n    print(sys.argv)\n")];
    let said = verdict(mute, &files).await;
    assert!(said.starts_with("failed: none of the 2 command lines prints anything"), "{said}");
    let none = "kind = 'starts'\ncommands = ['no-such-command']";
    assert!(verdict(none, &[]).await.starts_with("no evidence"));
}

#[tokio::test]
async fn files_are_compared_with_texts_that_lie_elsewhere() {
    let files = [("make.py", "open('out.txt', 'w').write('a\\nb\\n')\n"), ("kept.txt", "x\n")];
    let golden = |line: &str| format!("kind = 'golden'\n{line}");
    assert_eq!(verdict(&golden("files = { 'kept.txt' = 'x' }"), &files).await, "passed");
    let made = "command = 'python3 make.py'\nfiles = { 'out.txt' = \"a\\nb\" }";
    assert_eq!(verdict(&golden(made), &files).await, "passed");
    let other =
        report(&golden("command = 'python3 make.py'\nfiles = { 'out.txt' = \"a\\nc\" }"), &files).await;
    assert_eq!(other.verdict.reason(), "out.txt is not what was expected");
    assert!(other.detail.contains("-c\n+b"), "{}", other.detail);
    let link = "command = 'ln -s /etc/hostname out.txt'\nfiles = { 'out.txt' = 'x' }";
    assert_eq!(
        verdict(&golden(link), &files).await,
        "failed: out.txt is a symbolic link, which is not followed"
    );
    let directory = "command = 'mkdir out.txt'\nfiles = { 'out.txt' = 'x' }";
    assert_eq!(verdict(&golden(directory), &files).await, "failed: out.txt is a directory");
    let nothing = "command = 'true'\nfiles = { 'out.txt' = 'x' }";
    assert_eq!(verdict(&golden(nothing), &files).await, "failed: out.txt does not exist");
    let fails = "command = 'python3 none.py'\nfiles = { 'kept.txt' = 'x' }";
    assert!(verdict(&golden(fails), &files).await.starts_with("failed: `python3 none.py` failed"));
}

const SERVICE: &str = r#"
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    kept = []

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_GET(self):
        self.answer(200, self.kept) if self.path == "/all" else self.answer(404, "no")

    def do_POST(self):
        self.kept.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self.answer(201, len(self.kept))

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

#[tokio::test]
async fn a_service_is_started_and_asked() {
    let files = [("serve.py", SERVICE)];
    let http = |start: &str, last: &str| {
        format!(
            "kind = 'http'\nstart = '{start}'\nport = 8080\nrequests = [\n  {{ method = 'POST', path = '/', body = 'milk', status = 201, expect = {{ equals = '1' }} }},\n  {{ path = '/all', expect = {{ contains = ['milk'] }} }},\n  {last}\n]"
        )
    };
    let serve = "python3 serve.py";
    assert_eq!(verdict(&http(serve, "{ path = '/none', status = 404 }"), &files).await, "passed");
    assert_eq!(
        verdict(&http(serve, "{ path = '/none' }"), &files).await,
        "failed: GET /none: its status is 404, 200 was expected"
    );
    assert_eq!(
        verdict(&http(serve, "{ path = '/all', expect = { lacks = ['milk'] } }"), &files).await,
        "failed: GET /all: its body contains \"milk\", which it must not"
    );
    assert_eq!(
        verdict(&http("python3 none.py", ""), &files).await,
        "failed: the service ended with exit code 2 before it listened: python3: can't open file 'none.py': [Errno 2] No such file or directory"
    );
    assert!(
        verdict(&http("no-such-server", ""), &files)
            .await
            .starts_with("no evidence: a command is not installed")
    );
    let taken = "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 8080))\nimport serve\n";
    let found = verdict(&http("python3 taken.py", ""), &[files[0], ("taken.py", taken)]).await;
    assert!(
        found.contains("exit code 1 before it listened") && found.contains("Address already in use"),
        "{found}"
    );
}

#[tokio::test]
async fn a_service_that_says_nothing_is_not_waited_for_for_ever() {
    let mute = "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 8080))\ns.listen()\nkept = []\nwhile True:\n    kept.append(s.accept())\n";
    let http = "kind = 'http'\nstart = 'python3 mute.py'\nport = 8080\nrequests = [{ path = '/' }]";
    assert_eq!(verdict(http, &[("mute.py", mute)]).await, "failed: GET /: it did not answer in time");
}

#[tokio::test]
async fn projects_build_or_do_not() {
    let builds = |language: &'static str, files: Vec<(&'static str, &'static str)>| async move {
        report_on(CheckKind::Builds, language, &files).await.verdict
    };
    let manifest = ("Cargo.toml", "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    assert_eq!(builds("python", vec![("a.py", "x = 1\n")]).await, Verdict::Passed);
    assert!(builds("python", vec![("a.py", "x = = 1\n")]).await.reason().contains("SyntaxError"));
    assert_eq!(builds("javascript", vec![("a.mjs", "export const x = 1;\n")]).await, Verdict::Passed);
    assert!(builds("javascript", vec![("a.mjs", "export const x = ;\n")]).await.speaks_against());
    assert_eq!(builds("rust", vec![manifest, ("src/lib.rs", "pub fn f() {}\n")]).await, Verdict::Passed);
    let wrong = builds("rust", vec![manifest, ("src/lib.rs", "pub fn f() -> u8 {}\n")]).await;
    assert!(wrong.speaks_against(), "{wrong:?}");
}

#[tokio::test]
async fn what_was_there_before_a_command_is_not_what_it_makes() {
    let files = [("s.py", "print('I do nothing')\n"), ("out.txt", "HI\n")];
    let golden = "kind = 'golden'\ncommand = 'python3 s.py'\nfiles = { 'out.txt' = 'HI' }";
    assert!(verdict(golden, &files).await.starts_with("no evidence: out.txt was there before"));
    let writes = [("s.py", "open('out.txt', 'w').write('HI')\n"), ("out.txt", "HI\n")];
    assert_eq!(verdict(golden, &writes).await, "passed");
}

#[tokio::test]
async fn a_missing_tool_is_no_evidence() {
    let report = report_on(CheckKind::Lints, "javascript", &[("a.mjs", "export const a = 1;\n")]).await;
    let missing = "eslint is not installed (npm install --global eslint)".to_owned();
    assert_eq!(report.verdict, Verdict::NoEvidence { reason: missing });
    assert_eq!(
        verdict("kind = 'runs'\ncommand = 'no-such-command --x'", &[]).await,
        "no evidence: a command is not installed: sh: 1: no-such-command: not found"
    );
}

#[tokio::test]
async fn plain_classes_hold_tests_and_pytest_is_named_where_it_is_missing() {
    let test = "import os\n\nclass TestJoin:\n    def setup_method(self):\n        self.parts = ['a', 'b']\n\n    def test_r1_joins(self, tmp_path):\n        assert os.path.join(*self.parts) == 'a/b' and tmp_path.exists()\n\n    def test_r2_fails(self):\n        assert self.parts == []\n";
    let report = report_on(CheckKind::Tests, "python", &[("test_a.py", test)]).await;
    let outcomes: Vec<_> = report.tests.iter().map(|t| (t.name.as_str(), t.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("test_a.TestJoin.test_r1_joins", Outcome::Passed),
            ("test_a.TestJoin.test_r2_fails", Outcome::Failed)
        ]
    );
    let needs =
        "import pytest\n\n@pytest.mark.parametrize('n', [1, 2])\ndef test_r1(n):\n    assert abs(-n) == n\n";
    let report = report_on(CheckKind::Tests, "python", &[("test_a.py", needs)]).await;
    match report.verdict {
        Verdict::NoEvidence { reason } => {
            assert!(reason.starts_with("pytest is not installed (pip install pytest"), "{reason}");
        }
        other => {
            // Here it is installed.
            assert_eq!(
                other.reason(),
                "no test that passed shows anything: test_a.test_r1[1]: it uses nothing of the project"
            );
            assert_eq!(report.tests.len(), 2);
        }
    }
}

#[tokio::test]
async fn pytest_runs_what_needs_it() {
    let code = ("shout.py", "def shout(text):\n    return text.upper()\n");
    let test = "import pytest\nfrom shout import shout\n\n\n@pytest.fixture\ndef word():\n    return 'a'\n\n\n@pytest.mark.parametrize('n', [1, 2])\ndef test_r1_shouts(n, word):\n    assert shout(word * n) == 'A' * n\n\n\ndef test_r2_fails(word):\n    assert shout(word) == 'B'\n\n\n@pytest.mark.skip(reason='later')\ndef test_r3_later():\n    assert shout('') == ''\n\n\n@pytest.mark.xfail\ndef test_r4_expected():\n    assert shout('a') == 'a'\n";
    let Some(report) = report_by_pytest(&[code, ("test_shout.py", test)]).await else {
        eprintln!("EDVAC_TEST_PYTHON names no Python with pytest: not run");
        return;
    };
    let outcomes: Vec<_> = report.tests.iter().map(|t| (t.name.as_str(), t.outcome)).collect();
    let expected = [
        ("test_shout.test_r1_shouts[1]", Outcome::Passed),
        ("test_shout.test_r1_shouts[2]", Outcome::Passed),
        ("test_shout.test_r2_fails", Outcome::Failed),
        ("test_shout.test_r3_later", Outcome::Skipped),
        ("test_shout.test_r4_expected", Outcome::Skipped),
    ];
    assert_eq!(outcomes, expected, "{:?} {}", report.verdict, report.output);
    assert_eq!(report.verdict.reason(), "1 of 5 tests failed");
    assert!(
        report.detail.contains("File \"test_shout.py\", line 16")
            && report.detail.ends_with("AssertionError: assert 'A' == 'B'"),
        "{}",
        report.detail
    );
    assert!(report.tests[0].flaw.is_none(), "{:?}", report.tests[0]);
    let broken = report_by_pytest(&[(
        "test_a.py",
        "import pytest\nimport none_such\n\ndef test_r1():\n    assert none_such\n",
    )])
    .await
    .unwrap();
    assert!(broken.verdict.reason().contains("No module named 'none_such'"), "{:?}", broken.verdict);
    let ended = report_by_pytest(&[code, ("test_a.py", "import os, pytest\nfrom shout import shout\n\ndef test_r1():\n    getattr(os, '_ex' + 'it')(0)\n")]).await.unwrap();
    assert!(ended.verdict.reason().contains("ended before its end"), "{:?}", ended.verdict);
}

#[tokio::test]
async fn bad_commands_have_verdicts_of_their_own() {
    for (command, begins) in [
        ("python3 -c \"input()\"", "failed: it waits for input"),
        ("python3 -c \"import os; os.get_terminal_size(0)\"", "failed: it wants a terminal"),
        ("tty", "failed: it wants a terminal"),
        ("kill -SEGV $$", "failed: signal 11 ended it"),
        ("head -c 100000 /dev/urandom; exit 1", "failed: its exit code is 1"),
        ("./none.sh", "no evidence: a command is not installed"),
        ("touch plain; ./plain", "failed: a command cannot be started"),
    ] {
        let quoted = command.replace('\\', "\\\\").replace('"', "\\\"");
        let found = verdict(&format!("kind = 'runs'\ncommand = \"{quoted}\""), &[]).await;
        assert!(found.starts_with(begins), "{command}: {found}");
    }
}

#[tokio::test]
async fn what_passes_at_a_second_try_is_flaky() {
    let test = "import os\n\ndef test_r1_steady():\n    assert sorted([2, 1]) == [1, 2]\n\ndef test_r2_moody():\n    assert os.path.exists('mood')\n";
    let files = [("test_a.py", test)];
    let report = report_on_moody(CheckKind::Tests, "python", &files, "mood").await;
    assert_eq!(
        report.verdict.reason(),
        "test_a.test_r2_moody failed and then passed on the same files; a test must not depend on time, chance or order"
    );
    assert_eq!(report.verdict.name(), "flaky");
    let outcomes: Vec<_> = report.tests.iter().map(|t| t.outcome).collect();
    assert_eq!(outcomes, [Outcome::Passed, Outcome::Flaky]);
    let steady = report_on(CheckKind::Tests, "python", &files).await;
    assert_eq!(steady.verdict.reason(), "1 of 2 tests failed");
}

#[tokio::test]
async fn what_passes_now_and_failed_before_on_the_same_files_is_flaky() {
    let mut now = report("kind = 'exists'\npath = 'a'", &[("a", "x")]).await;
    let before = CheckReport { verdict: Verdict::Failed { reason: "no".into() }, ..now.clone() };
    with_history(&mut now, [&before].into_iter());
    assert_eq!(now.verdict.name(), "flaky");
    let mut other = report("kind = 'exists'\npath = 'a'", &[("a", "y")]).await;
    with_history(&mut other, [&before].into_iter());
    assert!(other.verdict.is_passed(), "those were other files");
}

#[tokio::test]
async fn tests_that_change_the_code_they_test_are_caught() {
    let test = "from calc import add\n\ndef test_r1():\n    open('calc.py', 'w').write('def add(a, b):\\n    return 3\\n')\n    assert add(1, 2) == 3\n";
    let report = report_on(
        CheckKind::Tests,
        "python",
        &[("calc.py", "def add(a, b):\n    return a + b\n"), ("test_calc.py", test)],
    )
    .await;
    assert!(
        matches!(&report.verdict, Verdict::Integrity { reason } if reason.starts_with("the tests changed calc.py")),
        "{:?}",
        report.verdict
    );
    let data = "def test_r1():\n    open('todo.json', 'w').write('[]')\n    assert open('todo.json').read() == '[]'\n";
    let report = report_on(CheckKind::Tests, "python", &[("todo.json", "[1]"), ("test_a.py", data)]).await;
    assert_eq!(report.verdict, Verdict::Passed, "data is there to be changed");
}

const MEAN: &str = "def mean(numbers):\n    return sum(numbers) / len(numbers)\n";
const TEST_OF_MEAN: &str = "from numbers_of import mean\n\ndef test_r1_mean():\n    assert mean([1, 3]) == 2\n\ndef test_r1_mean_of_none():\n    assert mean([]) == 0\n";

#[tokio::test]
async fn a_test_that_counted_may_not_ask_less() {
    let before = [("numbers_of.py", MEAN), ("test_a.py", TEST_OF_MEAN)];
    let committed = integrity::Inventory::take(before.into_iter(), "python");
    let counted = Counted { committed, ..Counted::default() };
    let gone = TEST_OF_MEAN.split("\ndef test_r1_mean_of_none").next().unwrap();
    let report = report_with(&counted, &[("numbers_of.py", MEAN), ("test_a.py", gone)]).await;
    assert_eq!(report.verdict.name(), "failed (integrity)");
    assert!(report.verdict.reason().contains("test_r1_mean_of_none"), "{}", report.verdict.reason());
    let none = report_with(&counted, &[("numbers_of.py", MEAN)]).await;
    assert_eq!(none.verdict.name(), "failed (integrity)", "no test at all is no excuse");
    let honest = report_with(&counted, &before).await;
    assert_eq!(honest.verdict.reason(), "1 of 2 tests failed");
}

#[tokio::test]
async fn a_test_that_failed_may_be_mended_and_not_go_away() {
    let before = [("numbers_of.py", MEAN), ("test_a.py", TEST_OF_MEAN)];
    let failed = ["test_a.test_r1_mean_of_none".to_owned()].into();
    let counted = Counted {
        failed: vec![(integrity::Inventory::take(before.into_iter(), "python"), failed)],
        ..Counted::default()
    };
    let gone = TEST_OF_MEAN.split("\ndef test_r1_mean_of_none").next().unwrap();
    let report = report_with(&counted, &[("numbers_of.py", MEAN), ("test_a.py", gone)]).await;
    assert_eq!(report.verdict.name(), "failed (integrity)");
    let mended = TEST_OF_MEAN.replace("mean([]) == 0", "mean([0]) == 0");
    let report = report_with(&counted, &[("numbers_of.py", MEAN), ("test_a.py", &mended)]).await;
    assert!(report.verdict.is_passed(), "{:?}", report.verdict);
    let other = TEST_OF_MEAN.replace("mean([]) == 0", "mean([2]) == 2");
    let report = report_with(&counted, &[("numbers_of.py", MEAN), ("test_a.py", &other)]).await;
    assert!(report.verdict.reason().contains("asks about something else now"), "{:?}", report.verdict);
}

#[tokio::test]
async fn tests_that_cannot_fail_are_no_evidence() {
    let test = "from numbers_of import mean\n\ndef test_r1_mean():\n    assert True\n";
    let report = report_with(&Counted::default(), &[("numbers_of.py", MEAN), ("test_a.py", test)]).await;
    assert_eq!(report.verdict.name(), "no evidence");
    assert!(report.tests[0].flaw.is_some());
    assert!(report.verdict.reason().starts_with("no test that passed shows anything"));
}

#[tokio::test]
async fn a_test_file_of_five_megabytes_is_run_and_not_believed() {
    let test = format!(
        "from numbers_of import mean\n\ndef test_r1_mean():\n    assert mean([1, 3]) == 2\n\nDATA = \"{}\"\n",
        "x".repeat(5 << 20)
    );
    let report = report_with(&Counted::default(), &[("numbers_of.py", MEAN), ("test_a.py", &test)]).await;
    assert_eq!(
        report.verdict.reason(),
        "test_a.py is larger than 512 KiB, too large to see what its tests assert; split it"
    );
    let wrong = test.replace("== 2", "== 3");
    let report = report_with(&Counted::default(), &[("numbers_of.py", MEAN), ("test_a.py", &wrong)]).await;
    assert_eq!(report.verdict.reason(), "1 of 1 tests failed");
}

#[tokio::test]
async fn a_limit_has_its_name() {
    let report = report("kind = 'runs'\ncommand = 'head -c 70000000 /dev/zero > big'", &[]).await;
    assert_eq!(report.verdict.name(), Limit::FileSize.verdict(), "{:?}", report.verdict);
}
