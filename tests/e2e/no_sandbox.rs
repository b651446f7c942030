//! Where the sandbox does not hold, nothing that a model wrote is executed: set-ups in which it does not, for real.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::folder;
use crate::home::{Home, Said};

/// A program on a `PATH` of its own, before all others.
fn first_on_path(home: &Home, name: &str, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let dir = home.path().join("first");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join(name);
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", dir.display(), std::env::var("PATH").unwrap())
}

/// The real bubblewrap with other arguments than it was given.
fn wrapped(home: &Home, case: &str) -> String {
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|dir| dir.join("bwrap"))
        .find(|path| path.exists())
        .unwrap();
    let script = format!(
        "#!/bin/sh\nfor word; do shift; case $word in {case} *) set -- \"$@\" \"$word\" ;; esac; done\nexec {} \"$@\"\n",
        real.display()
    );
    first_on_path(home, "bwrap", &script)
}

/// A task whose tests leave a mark on the host if they are ever run outside.
fn task(home: &Home) -> (Vec<String>, PathBuf) {
    let mark = home.path().join("executed");
    let script = std::fs::read_to_string(folder("todo-python").join("script.toml")).unwrap();
    let first = "@@ write todo.py\n";
    assert!(script.contains(first));
    let script = script.replace(first, &format!("{first}open('{}', 'w')\n", mark.display()));
    std::fs::write(home.path().join("script.toml"), script).unwrap();
    let provider = format!("scripted:{}", home.path().join("script.toml").display());
    let words =
        ["run", "--domain", "codebase", "--json", "--provider", &provider, "A small todo list in Python"];
    (words.map(str::to_owned).to_vec(), mark)
}

/// Runs a task and `doctor` as `set_up` says: both refuse, say why, and nothing was executed.
fn refuses(why: &[&str], set_up: impl Fn(&Home, &[&str]) -> Command) {
    let home = Home::new();
    let (words, mark) = task(&home);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let said = Said::from(set_up(&home, &words).output().unwrap()).expect(78);
    for text in why.iter().chain(&["fix:"]) {
        assert!(said.stderr.contains(text), "no {text:?} in {}", said.stderr);
    }
    assert_eq!(said.json()["error"]["exit_code"], 78);
    assert_eq!(home.run_dirs().len(), 0, "nothing was started");
    assert!(!mark.exists(), "nothing was executed");
    let doctor = Said::from(set_up(&home, &["doctor", "--json"]).output().unwrap()).expect(1).json();
    let found = sandbox_of(&doctor);
    assert_eq!(found["standing"], "failure", "{found}");
    for text in why {
        assert!(found["what"].as_str().unwrap().contains(text), "no {text:?} in {found}");
    }
    assert_ne!(found["fix"], "");
}

fn sandbox_of(doctor: &serde_json::Value) -> &serde_json::Value {
    doctor["checks"].as_array().unwrap().iter().find(|c| c["name"] == "sandbox").unwrap()
}

/// `edvac` started by another program.
fn by(program: &str, before: &[&str], home: &Home, words: &[&str]) -> Command {
    let plain = home.edvac(words);
    let mut command = Command::new(program);
    command.args(before).arg(plain.get_program()).args(plain.get_args()).current_dir(home.path());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn no_bubblewrap() {
    refuses(&["bubblewrap (bwrap) is not installed"], |home, words| {
        let empty = home.path().join("empty");
        std::fs::create_dir_all(&empty).unwrap();
        let mut command = home.edvac(words);
        command.env("PATH", empty);
        command
    });
}

#[test]
fn a_bubblewrap_that_only_runs_the_command() {
    for script in [
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n",
        // As clever as to find the shim where it really lies.
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do [ \"$3\" = /edvac-shim ] && shim=$2; shift; done\nshift 2\nexec \"$shim\" \"$@\"\n",
    ] {
        refuses(&["bubblewrap does not hold here"], |home, words| {
            let mut command = home.edvac(words);
            command.env("PATH", first_on_path(home, "bwrap", script));
            command
        });
    }
}

/// Each of these opens exactly one thing that a probe tries.
#[test]
fn one_surprise() {
    for (case, probe) in [
        ("--clearenv) ;;", "environment-leaks"),
        ("--) set -- \"$@\" --setenv EDVAC_PLANTED 1 -- ;;", "environment-leaks"),
        ("--) set -- \"$@\" --ro-bind /tmp /tmp -- ;;", "host-readable"),
        ("--unshare-all) set -- \"$@\" --unshare-ipc --unshare-net --unshare-uts ;;", "other-processes"),
    ] {
        refuses(&["bubblewrap does not hold here", probe], |home, words| {
            let mut command = home.edvac(words);
            command.env("PATH", wrapped(home, case)).env("TMPDIR", "/tmp");
            command
        });
    }
}

const NO_LANDLOCK: &str = "
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
filter = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x50000 | 38), (6, 0, 0, 0x7fff0000)]
text = b''.join(struct.pack('HBBI', *words) for words in filter)
held = ctypes.create_string_buffer(text, len(text))
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
program = Program(4, ctypes.cast(held, ctypes.c_void_p))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program)) == 0
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn a_kernel_without_landlock() {
    refuses(&["bubblewrap does not hold here", "Landlock"], |home, words| {
        by("python3", &["-c", NO_LANDLOCK], home, words)
    });
}

/// A root that is root of nothing can become nobody else, so that not even the walls alone hold.
#[test]
fn no_user_namespaces_and_a_root_of_nothing() {
    if !is_root() {
        println!("only root can be a root of nothing here");
        return;
    }
    refuses(&["bubblewrap does not hold here", "without namespaces"], |home, words| {
        let outer = ["--unshare-user", "--disable-userns", "--dev-bind", "/", "/", "--"];
        by("bwrap", &outer, home, words)
    });
}

/// Without user namespaces an ordinary user has the walls alone, which hold, and are named.
#[test]
fn no_user_namespaces() {
    let home = Home::new();
    let outer = [
        "--unshare-user",
        "--disable-userns",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--dev-bind",
        "/",
        "/",
        "--",
    ];
    let doctor = by("bwrap", &outer, &home, &["doctor", "--json"]).output().unwrap();
    let doctor = Said::from(doctor).json();
    let found = sandbox_of(&doctor);
    assert_eq!(found["standing"], "warning", "{found}");
    assert!(found["what"].as_str().unwrap().contains("Landlock"), "{found}");
    let (words, mark) = task(&home);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let said = Said::from(by("bwrap", &outer, &home, &words).output().unwrap());
    assert_ne!(said.code, Some(78), "{}", said.stderr);
    assert!(!mark.exists(), "what it wrote outside was refused");
    assert_eq!(home.run_dirs().len(), 1);
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).unwrap().uid() == 0
}

/// The programs of this machine but bubblewrap.
fn without_bubblewrap(home: &Home) -> String {
    let dir = home.path().join("bin");
    std::fs::create_dir_all(&dir).unwrap();
    for from in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
        for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
            if entry.file_name() != "bwrap" {
                // The first of a name is the one that counts.
                let _ = std::os::unix::fs::symlink(entry.path(), dir.join(entry.file_name()));
            }
        }
    }
    dir.display().to_string()
}

#[test]
fn a_person_may_say_that_none_is_needed_and_only_so() {
    let home = Home::new();
    let path = without_bubblewrap(&home);
    let (words, mark) = task(&home);
    let mut words: Vec<_> = words.iter().map(String::as_str).filter(|w| *w != "--json").collect();
    let mut by_variable = home.edvac(&words);
    by_variable.env("PATH", &path).env("EDVAC_UNSAFE_NO_SANDBOX", "true").env("EDVAC_SANDBOX", "none");
    Said::from(by_variable.output().unwrap()).expect(78);
    assert!(!mark.exists());
    words.push("--unsafe-no-sandbox");
    // It ends behind the first step: the script does not know the line that leaves the mark.
    let said = Said::from(home.edvac(&words).env("PATH", &path).output().unwrap()).expect(5);
    assert!(said.stderr.contains("✓ the project's tests pass"), "{}", said.stderr);
    assert!(mark.exists(), "now it could write anywhere");
    assert!(said.stdout.contains("**UNSAFE**"), "{}", said.stdout);
    assert!(
        said.stderr.contains("UNSAFE: code of this run was executed without a sandbox"),
        "{}",
        said.stderr
    );
    let log = home.say(&["logs", "--last", "--json"]).expect(0).stdout;
    assert!(log.lines().any(|line| line.contains("\"unsafe_no_sandbox\":true")), "it is in the journal");
}
