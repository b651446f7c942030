"""Reads commands from standard input and prints one answer per command."""

import sys

from store import Store

ARGUMENTS = {"SET": 2, "GET": 1, "DEL": 1, "COUNT": 1, "KEYS": 0, "BEGIN": 0, "COMMIT": 0, "ROLLBACK": 0}


def answer(store, parts):
    name, args = parts[0], parts[1:]
    if name not in ARGUMENTS:
        return f"ERROR: unknown command: {name}"
    if len(args) != ARGUMENTS[name]:
        return f"ERROR: wrong number of arguments: {name}"
    if name == "SET":
        store.set(*args)
        return "OK"
    if name == "GET":
        value = store.get(args[0])
        return "NULL" if value is None else value
    if name == "DEL":
        return "1" if store.delete(args[0]) else "0"
    if name == "COUNT":
        return str(store.count(args[0]))
    if name == "KEYS":
        return " ".join(store.keys()) or "EMPTY"
    if name == "BEGIN":
        store.begin()
        return "OK"
    done = store.commit() if name == "COMMIT" else store.rollback()
    return "OK" if done else "ERROR: no transaction"


def main():
    store = Store()
    for line in sys.stdin:
        parts = line.split()
        if parts:
            print(answer(store, parts))


if __name__ == "__main__":
    main()
