"""Evaluates an expression from the command line, or lines from standard input."""

import re
import sys

from expr import ExprError, evaluate


def show(value):
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def main(args):
    if args:
        try:
            print(show(evaluate(" ".join(args))))
        except ExprError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0
    variables = {}
    for line in sys.stdin:
        line = line.strip()
        if not line:
            continue
        assignment = re.fullmatch(r"([A-Za-z]+)\s*=(.*)", line)
        try:
            if assignment:
                name = assignment.group(1)
                variables[name] = evaluate(assignment.group(2), variables)
                print(f"{name} = {show(variables[name])}")
            else:
                print(show(evaluate(line, variables)))
        except ExprError as error:
            print(f"error: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
