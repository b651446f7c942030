"""Adds. Run its tests with `python -m unittest`."""

import argparse
import inspect
import os
import subprocess
import sys

DATABASE = os.environ.get("DATABASE", "calc.db")


def trace(text):
    caller = inspect.stack()[1].function
    print(f"{caller}: {text}")


def add(a, b):
    return a + b


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["add", "test"])
    given = parser.parse_args(sys.argv[1:])
    if given.command == "test" or sys.argv[1] == "test":
        return subprocess.run([sys.executable, "-m", "unittest", *sys.argv[2:]]).returncode
    return add(1, 2)
