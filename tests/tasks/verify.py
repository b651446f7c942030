#!/usr/bin/env python3
"""Checks the tasks in this folder: python3 verify.py [TASK ...]

For every check of every task (or of the tasks named):
- it must pass in a copy of the task's reference/ folder,
- it must fail in an empty folder,
- it must fail in a stub of the project: the reference with all source files emptied
  (for Rust, Cargo.toml is kept and src/main.rs is `fn main() {}`).
The requirements in task.md and checks.toml must be the same sentences in the same order.
Prints one line per failure; the exit status is 1 if there was one.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT = 120  # seconds per check
OUTPUT_KEYS = {"equals", "contains", "lacks", "matches"}
CHECK_KEYS = {"kind", "command", "exit_status", "output", "input"}


def run(check, folder):
    """Runs the command in the folder; returns (exit status, or None on a timeout; output)."""
    process = subprocess.Popen(
        ["sh", "-c", check["command"]],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(check.get("input", "").encode(), timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        return None, out.decode(errors="replace")
    return process.returncode, out.decode(errors="replace")


def verdict(check, status, out):
    """Why the check does not hold, or None if it holds."""
    if status is None:
        return f"no end within {LIMIT} s"
    wanted = check.get("exit_status", 0)
    if status != wanted:
        return f"exit status {status}, not {wanted}"
    output = check.get("output", {})
    if "equals" in output and out.strip() != output["equals"].strip():
        return f"output is not {output['equals']!r}"
    for text in output.get("contains", []):
        if text not in out:
            return f"output lacks {text!r}"
    for text in output.get("lacks", []):
        if text in out:
            return f"output contains {text!r}"
    if "matches" in output and not re.search(output["matches"], out):
        return f"output does not match {output['matches']!r}"
    return None


def stub(folder):
    """Empties every source file below the folder."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "Cargo.toml":
            path.write_text("fn main() {}\n" if path.name == "main.rs" else "")


def form_errors(task, requirements):
    """Faults in the form of checks.toml and differences between it and task.md."""
    listed = re.findall(r"(?m)^(R\d+): (.+)$", (task / "task.md").read_text())
    if listed != [(r["id"], r["text"]) for r in requirements]:
        yield "task.md and checks.toml do not have the same requirements"
    if [r["id"] for r in requirements] != [f"R{n}" for n in range(1, len(requirements) + 1)]:
        yield "the requirements are not numbered R1, R2, ..."
    if not 10 <= len(requirements) <= 15:
        yield f"{len(requirements)} requirements, not 10 to 15"
    for requirement in requirements:
        checks = requirement.get("check", [])
        if not 1 <= len(checks) <= 3:
            yield f"{requirement['id']}: {len(checks)} checks, not 1 to 3"
        for check in checks:
            output = check.get("output", {})
            if check.get("kind") != "runs" or set(check) - CHECK_KEYS:
                yield f"{requirement['id']}: unknown kind or key in a check"
            if not output or set(output) - OUTPUT_KEYS:
                yield f"{requirement['id']}: a check without output conditions, or with an unknown one"
            if re.search(r"\(\?[=!<]|\\[1-9]", output.get("matches", "")):
                yield f"{requirement['id']}: look-around and back-references are not in Rust's regex syntax"


def verify(task):
    failures = 0

    def report(line):
        nonlocal failures
        failures += 1
        print(f"{task.name} {line}", flush=True)

    requirements = tomllib.loads((task / "checks.toml").read_text())["requirement"]
    for error in form_errors(task, requirements):
        report(error)
    count = 0
    for requirement in requirements:
        for number, check in enumerate(requirement["check"], 1):
            count += 1
            label = f"{requirement['id']} check {number}"
            for where in ("reference", "empty", "stub"):
                with tempfile.TemporaryDirectory(prefix="tasks-") as temporary:
                    folder = Path(temporary) / "project"
                    if where == "empty":
                        folder.mkdir()
                    else:
                        ignore = shutil.ignore_patterns("target", "__pycache__")
                        shutil.copytree(task / "reference", folder, ignore=ignore)
                    if where == "stub":
                        stub(folder)
                    status, out = run(check, folder)
                why = verdict(check, status, out)
                if where == "reference" and why:
                    report(f"{label}: fails with the reference: {why}; output {out[-400:]!r}")
                if where != "reference" and why is None:
                    report(f"{label}: passes with the {where} project; output {out[-400:]!r}")
    return len(requirements), count, failures


def main():
    names = sys.argv[1:] or sorted(p.parent.name for p in HERE.glob("*/checks.toml"))
    total = 0
    for name in names:
        requirements, checks, failures = verify(HERE / name)
        total += failures
        print(f"{name}: {requirements} requirements, {checks} checks, {failures} failures", file=sys.stderr, flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
