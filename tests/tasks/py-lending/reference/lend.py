"""Remembers which things are lent to whom."""

import argparse
import sys

import lending


class Failure(Exception):
    pass


def known(things, name):
    thing = lending.find(things, name)
    if thing is None:
        raise Failure(f"no such thing: {name}")
    return thing


def add(things, args):
    if lending.find(things, args.name):
        raise Failure(f"already there: {args.name}")
    things.append({"name": args.name, "borrower": None, "due": None})
    lending.save(things)
    return [f"added {args.name}"]


def lend(things, args):
    thing = known(things, args.name)
    if thing["borrower"] is not None:
        raise Failure(f"already lent to {thing['borrower']}")
    if not lending.is_date(args.date):
        raise Failure(f"invalid date: {args.date}")
    if not lending.is_days(args.days):
        raise Failure(f"invalid number of days: {args.days}")
    thing["borrower"] = args.person
    thing["due"] = lending.due_date(args.date, int(args.days))
    lending.save(things)
    return [f"lent {args.name} to {args.person} until {thing['due']}"]


def give_back(things, args):
    thing = known(things, args.name)
    thing["borrower"] = thing["due"] = None
    lending.save(things)
    return [f"returned {args.name}"]


def show(things, args):
    lines = []
    for thing in sorted(things, key=lambda t: t["name"]):
        if args.person is not None and thing["borrower"] != args.person:
            continue
        if thing["borrower"] is None:
            lines.append(f"{thing['name']}: at home")
        else:
            lines.append(f"{thing['name']}: {thing['borrower']} until {thing['due']}")
    return lines or ["nothing"]


def overdue(things, args):
    late = []
    for thing in things:
        if thing["due"] is not None:
            days = lending.days_late(thing["due"], args.date)
            if days > 0:
                late.append((-days, thing["name"], thing["borrower"]))
    return [f"{name}: {person}, days late: {-n}" for n, name, person in sorted(late)] or ["nothing"]


COMMANDS = {
    "add": (add, ["name"]),
    "lend": (lend, ["name", "person", "date", "days"]),
    "return": (give_back, ["name"]),
    "list": (show, []),
    "overdue": (overdue, ["date"]),
}


def main(argv):
    parser = argparse.ArgumentParser(prog="lend.py")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, arguments) in COMMANDS.items():
        command = commands.add_parser(name)
        for argument in arguments:
            command.add_argument(argument)
        if name == "list":
            command.add_argument("person", nargs="?")
    args = parser.parse_args(argv)
    try:
        lines = COMMANDS[args.command][0](lending.load(), args)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
