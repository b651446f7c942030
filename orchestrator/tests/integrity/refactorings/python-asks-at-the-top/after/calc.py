import inspect
import sys

MODE = "quick" if len(sys.argv) > 1 and sys.argv[1] == "test" else "slow"


def trace():
    return inspect.stack()[1].function


def add(a, b):
    return a + b


def store(storage, number):
    storage.save(number)
