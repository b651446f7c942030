"""Match results and tables of a league."""

import re

MATCH = re.compile(r"(\S+) - (\S+) ([0-9]+):([0-9]+)")


def parse_result(line):
    match = MATCH.fullmatch(line)
    if match is None or match[1] == match[2]:
        raise ValueError(f"not a match: {line}")
    return match[1], match[2], int(match[3]), int(match[4])


def order(row):
    return -row["points"], row["conceded"] - row["scored"], -row["scored"]


def table(results, home_only=False):
    rows = {}

    def row(team):
        keys = ("played", "won", "drawn", "lost", "scored", "conceded", "points")
        return rows.setdefault(team, {"team": team, **dict.fromkeys(keys, 0)})

    def count(row, scored, conceded):
        row["played"] += 1
        row["scored"] += scored
        row["conceded"] += conceded
        row[outcome(scored, conceded)] += 1
        row["points"] = 3 * row["won"] + row["drawn"]

    for home, away, home_goals, away_goals in results:
        count(row(home), home_goals, away_goals)
        other = row(away)
        if not home_only:
            count(other, away_goals, home_goals)
    return sorted(rows.values(), key=lambda r: (order(r), r["team"]))


def ranks(rows):
    """The rank of each row of a table; equal rows share one."""
    result = []
    for position, row in enumerate(rows, 1):
        equal = position > 1 and order(row) == order(rows[position - 2])
        result.append(result[-1] if equal else position)
    return result


def outcome(scored, conceded):
    return "won" if scored > conceded else "lost" if scored < conceded else "drawn"


def matches_of(results, team):
    """Tuples (place, opponent, scored, conceded, result) of one team."""
    found = []
    for home, away, home_goals, away_goals in results:
        if team == home:
            found.append(("home", away, home_goals, away_goals, outcome(home_goals, away_goals)))
        elif team == away:
            found.append(("away", home, away_goals, home_goals, outcome(away_goals, home_goals)))
    return found
