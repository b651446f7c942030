"""Writes what became of each test that pytest runs as one JSON line, as `loader.py` does for `unittest`."""

import json
import os
import sys

ROOT = os.getcwd()
LINES_MAX = 24

with open(os.environ["EDVAC_KEY_FILE"], encoding="utf-8") as _file:
    _KEY = _file.read()
os.unlink(os.environ.pop("EDVAC_KEY_FILE"))
_OUT = os.open(os.environ.pop("EDVAC_RESULTS"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
_put, _encode = os.write, json.JSONEncoder().encode


def _write(line):
    _put(_OUT, (_encode({**line, "key": _KEY}) + "\n").encode("utf-8"))


def _name(nodeid):
    """`tests/test_a.py::T::test_b[1]` as the loader spells it: `tests.test_a.T.test_b[1]`."""
    path, _, rest = nodeid.partition("::")
    module = path[:-3] if path.endswith(".py") else path
    return ".".join([module.replace("/", "."), *rest.split("::")]) if rest else module


def _explain(report):
    """The frames in the project, and the error last: it is what failures are told apart by."""
    lines = []
    trace = getattr(report.longrepr, "reprtraceback", None)
    for entry in getattr(trace, "reprentries", []):
        place = getattr(entry, "reprfileloc", None)
        if place is not None:
            path = os.path.relpath(str(place.path), ROOT)
            if not path.startswith(".."):
                lines.append(f'  File "{path}", line {place.lineno}')
                lines += [line[1:] for line in entry.lines if line.startswith(">")]
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        # A file that could not be collected: the error stands last already.
        said = [line.removeprefix("E   ") for line in str(report.longrepr).splitlines() if line.strip()]
        return "\n".join(said[-LINES_MAX:])
    first, *more = crash.message.splitlines() or ["it failed"]
    return "\n".join([*lines, *more][-LINES_MAX:] + [first])


def pytest_runtest_logreport(report):
    name = _name(report.nodeid)
    if report.failed:
        _write({"name": name, "outcome": "failed", "detail": _explain(report)})
    elif report.skipped and report.when != "teardown":
        # Expected to fail, too: that is no pass.
        _write({"name": name, "outcome": "skipped", "detail": str(getattr(report, "wasxfail", ""))})
    elif report.when == "call":
        if hasattr(report, "wasxfail"):
            _write({"name": name, "outcome": "skipped", "detail": "it was expected to fail and passed"})
        else:
            _write({"name": name, "outcome": "passed", "detail": ""})


def pytest_collectreport(report):
    if report.failed:
        _write({"fault": f"{report.nodeid or 'the project'} cannot be imported:\n{_explain(report)}"})


def pytest_unconfigure(config):
    # Assertions must still bite when everything was run.
    try:
        exec(compile("assert 1 == 2", "probe", "exec"), {})
        _write({"fault": "the project tampered with the test run: assert is not what it was; take that out"})
    except AssertionError:
        pass
    _write({"ended": True})
    sys.stdout.flush()
