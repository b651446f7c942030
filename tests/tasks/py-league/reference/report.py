"""Prints tables from a file of match results."""

import argparse
import sys

import league


class Failure(Exception):
    pass


def load(name):
    try:
        with open(name, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError):
        raise Failure(f"cannot read {name}") from None
    results = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            results.append(league.parse_result(line))
        except ValueError:
            raise Failure(f"line {number}: {line}") from None
    return results


def report(args):
    results = load(args.file)
    if args.command == "table":
        rows = league.table(results, args.home)
        for rank, r in zip(league.ranks(rows), rows):
            print(
                f"{rank}. {r['team']} {r['played']} {r['won']} {r['drawn']} {r['lost']}"
                f" {r['scored']}:{r['conceded']} {r['points']}"
            )
    elif args.command == "biggest":
        if results:
            home, away, h, a = max(results, key=lambda r: abs(r[2] - r[3]))
            print(f"{home} - {away} {h}:{a}")
    else:
        matches = league.matches_of(results, args.team)
        if not matches:
            raise Failure(f"no such team: {args.team}")
        if args.command == "form":
            print("".join(m[4][0].upper() for m in matches[-5:]))
        else:
            for place, opponent, scored, conceded, result in matches:
                print(f"{place} {opponent} {scored}:{conceded} {result}")


def main(argv):
    parser = argparse.ArgumentParser(prog="report.py")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("table", "team", "form", "biggest"):
        command = commands.add_parser(name)
        command.add_argument("file")
        if name == "table":
            command.add_argument("--home", action="store_true")
        if name in ("team", "form"):
            command.add_argument("team")
    args = parser.parse_args(argv)
    try:
        report(args)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
