"""Runs a project's tests and writes what became of each as one JSON line.

Takes `unittest.TestCase` classes and plain `test_` functions from files named test*.py or *_test.py.

The tests run in this process, so what is needed of it is held before any of them is imported, every line carries a key
that is gone from the disk by then, and in the end assertions have to prove that they still fail.
"""

import builtins
import importlib
import inspect
import json
import os
import pathlib
import sys
import tempfile
import traceback
import unittest

ROOT = os.getcwd()
LINES_MAX = 24
NAMES_MAX = 24
# Modules of the project, as far as its top directory shows them.
OWN = {name[:-3] for name in os.listdir(ROOT) if name.endswith(".py")}


def explain(error):
    """The part of a traceback that lies in the project, and the error itself."""
    frames = [f for f in traceback.extract_tb(error[2]) if f.filename.startswith(ROOT)]
    lines = traceback.format_list(frames[-3:]) + traceback.format_exception_only(error[0], error[1])
    lines = "".join(lines).replace(ROOT + os.sep, "").splitlines()[-LINES_MAX:]
    # The error stays last: it is what failures are told apart by.
    return "\n".join(lines[:-1] + hint(error[1]) + lines[-1:])


def hint(error):
    """What there is, for an error that says what there is not."""
    if isinstance(error, ModuleNotFoundError):
        return [f"The modules of this project are: {', '.join(sorted(OWN)[:NAMES_MAX])}."]
    owner = getattr(error, "obj", None)
    if isinstance(error, AttributeError) and not inspect.ismodule(owner):
        owner = type(owner)
    elif isinstance(error, ImportError):
        owner = sys.modules.get(error.name)
    elif not isinstance(error, AttributeError):
        return []
    if not (getattr(owner, "__file__", None) or "").startswith(ROOT) and getattr(owner, "__module__", "") not in OWN:
        return []
    names = sorted(name for name in vars(owner) if not name.startswith("_"))
    return [f"{owner.__name__} has: {', '.join(names[:NAMES_MAX]) or 'nothing'}."]


class Result(unittest.TestResult):
    def __init__(self, write):
        super().__init__()
        self.write = write

    def tell(self, test, outcome, detail=""):
        self.write({"name": test.id(), "outcome": outcome, "detail": detail})

    def addSuccess(self, test):
        self.tell(test, "passed")

    def addFailure(self, test, err):
        self.tell(test, "failed", explain(err))

    def addError(self, test, err):
        self.tell(test, "failed", explain(err))

    def addSkip(self, test, reason):
        self.tell(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self.tell(test, "skipped", "it is expected to fail")

    def addUnexpectedSuccess(self, test):
        self.tell(test, "failed", "it was expected to fail and passed")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.tell(subtest, "failed", explain(err))


class Function(unittest.TestCase):
    """A plain function as a test. A parameter `tmp_path` gets a fresh directory; others nobody can fill."""

    def __init__(self, module, name, function):
        super().__init__("call")
        self.name, self.function = f"{module}.{name}", function

    def id(self):
        return self.name

    def call(self):
        wanted = list(inspect.signature(self.function).parameters)
        unknown = [p for p in wanted if p != "tmp_path"]
        if unknown:
            self.fail(f"the parameter {unknown[0]} has no value here; write the test as a unittest.TestCase method")
        with tempfile.TemporaryDirectory() as directory:
            self.function(*[pathlib.Path(directory) for _ in wanted])


def in_class(owner, method):
    """A test in a plain class, as pytest has them: an object of its own, set up and torn down around it."""
    wanted = [p for p in inspect.signature(getattr(owner, method)).parameters if p != "self"]

    def call(*given):
        one = owner()
        for before in ("setup_method", "setup"):
            getattr(one, before, lambda *_: None)(*[None][: takes(one, before)])
        try:
            getattr(one, method)(*given)
        finally:
            getattr(one, "teardown_method", lambda *_: None)(*[None][: takes(one, "teardown_method")])

    empty = inspect.Parameter.POSITIONAL_OR_KEYWORD
    call.__signature__ = inspect.Signature([inspect.Parameter(name, empty) for name in wanted])
    return call


def takes(one, method):
    found = getattr(one, method, None)
    return len(inspect.signature(found).parameters) if found else 0


def modules():
    for directory, inner, files in os.walk(ROOT):
        inner[:] = sorted(d for d in inner if not d.startswith((".", "__")) and d not in ("node_modules", "venv"))
        for name in sorted(files):
            if name.endswith(".py") and (name.startswith("test") or name.endswith("_test.py")):
                yield os.path.relpath(os.path.join(directory, name), ROOT)


def suite_of(path):
    wanted = [ROOT, os.path.dirname(os.path.join(ROOT, path))]
    if os.path.isdir(os.path.join(ROOT, "src")):
        wanted.insert(1, os.path.join(ROOT, "src"))
    sys.path[:0] = [p for p in wanted if p not in sys.path]
    name = path[:-3].replace(os.sep, ".")
    module = importlib.import_module(name)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    for key, value in sorted(vars(module).items()):
        own = getattr(value, "__module__", None) == module.__name__
        if own and key.startswith("test") and inspect.isfunction(value):
            suite.addTest(Function(name, key, value))
        elif own and key.startswith("Test") and inspect.isclass(value) and not issubclass(value, unittest.TestCase):
            for method in sorted(m for m in dir(value) if m.startswith("test")):
                suite.addTest(Function(f"{name}.{key}", method, in_class(value, method)))
    return suite


class Probe(unittest.TestCase):
    """Fails, as long as nobody has seen to it that it does not."""

    def fails(self):
        self.assertEqual(1, 2)

    def holds(self):
        self.assertEqual(1, 1)


def guard():
    """Says later what of the runner is no longer what it is now; None for nothing."""
    error = AssertionError
    classes = [unittest.TestCase, unittest.TestSuite, unittest.TestResult, Result, Probe]
    before = [(c, name, value) for c in classes for name, value in vars(c).items() if callable(value)]
    snippet = compile("assert 1 == 2", "probe", "exec")
    run, execute, own = unittest.TestSuite.run, exec, getattr

    def changed():
        for owner, name, value in before:
            if vars(owner).get(name) is not value:
                return f"{owner.__name__}.{name}"
        if builtins.AssertionError is not error:
            return "AssertionError"
        for method, names in ("assertEqual", (1, 2)), ("assertTrue", (False,)), ("assertIn", (1, [])):
            try:
                own(Probe("fails"), method)(*names)
                return method
            except error:
                pass
        try:
            execute(snippet, {})
            return "assert"
        except error:
            pass
        seen = []
        run(unittest.TestSuite([Probe("fails"), Probe("holds")]), Result(seen.append))
        outcomes = [line["outcome"] for line in seen]
        return None if outcomes == ["failed", "passed"] else "what becomes of a test"

    return changed


def main():
    results, key_file = sys.argv[1:3]
    with open(key_file, encoding="utf-8") as file:
        key = file.read()
    os.unlink(key_file)
    out = os.open(results, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    put, encode, leave, flush = os.write, json.JSONEncoder().encode, os._exit, sys.stdout.flush

    def write(line):
        put(out, (encode({**line, "key": key}) + "\n").encode("utf-8"))

    changed = guard()
    ok = True
    sys.argv = sys.argv[:1]
    for path in modules():
        try:
            suite = suite_of(path)
        except BaseException:
            write({"fault": f"{path} cannot be imported:\n{explain(sys.exc_info())}"})
            ok = False
        else:
            try:
                suite.run(Result(write))
            except BaseException:
                write({"fault": f"{path} ended the test run:\n{explain(sys.exc_info())}"})
                ok = False
        what = changed()
        if what is not None:
            write({"fault": f"{path} tampered with the test run: {what} is not what it was; take that out"})
            ok = False
            break
    write({"ended": True})
    try:
        flush()
    finally:
        leave(0 if ok else 1)


main()
