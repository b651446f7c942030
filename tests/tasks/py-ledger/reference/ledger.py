"""Keeps expenses in a CSV file and prints reports."""

import argparse
import sys

import book


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    return 1


def show(row):
    day, category, amount = row
    return f"{day} {category} {amount:.2f}"


def main(argv):
    parser = argparse.ArgumentParser(prog="ledger.py")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("add", "list", "report", "max"):
        command = commands.add_parser(name)
        command.add_argument("file")
        if name == "add":
            for argument in ("date", "category", "amount"):
                command.add_argument(argument)
        if name == "report":
            command.add_argument("--month")
    args = parser.parse_args(argv)

    if args.command == "add":
        if not book.is_date(args.date):
            return fail(f"invalid date: {args.date}")
        try:
            amount = book.parse_amount(args.amount)
        except ValueError:
            return fail(f"invalid amount: {args.amount}")
        book.append(args.file, args.date, args.category, amount)
        print("added", show((args.date, args.category, amount)))
        return 0

    try:
        rows = book.load(args.file)
    except FileNotFoundError:
        return fail(f"no such file: {args.file}")
    if args.command == "list":
        for row in sorted(rows, key=lambda r: r[0]):
            print(show(row))
    elif args.command == "report":
        if args.month:
            rows = [r for r in rows if r[0].startswith(args.month + "-")]
        for category, amount in sorted(book.totals(rows).items()):
            print(f"{category}: {amount:.2f}")
        print(f"TOTAL: {sum(r[2] for r in rows):.2f}")
    elif rows:
        print(show(max(rows, key=lambda r: r[2])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
