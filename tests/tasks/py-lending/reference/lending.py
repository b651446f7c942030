"""Things, their borrowers and the dates when they are due."""

import json
import re
from datetime import date, timedelta

FILE = "things.json"


def is_date(text):
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_days(text):
    return re.fullmatch(r"[0-9]+", text) is not None and int(text) > 0


def due_date(start, days):
    return (date.fromisoformat(start) + timedelta(days=days)).isoformat()


def days_late(due, today):
    return max(0, (date.fromisoformat(today) - date.fromisoformat(due)).days)


def find(things, name):
    return next((thing for thing in things if thing["name"] == name), None)


def load():
    try:
        with open(FILE, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return []


def save(things):
    with open(FILE, "w", encoding="utf-8") as file:
        json.dump(things, file, indent=2, ensure_ascii=False)
        file.write("\n")
