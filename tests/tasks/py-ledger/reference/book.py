"""Reading, writing and adding up expenses."""

import csv
import math
import os
import re
from datetime import date

HEADER = ["date", "category", "amount"]


def parse_amount(text):
    amount = float(text)
    if not math.isfinite(amount) or amount <= 0:
        raise ValueError(f"invalid amount: {text}")
    return amount


def is_date(text):
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def totals(rows):
    sums = {}
    for _, category, amount in rows:
        sums[category] = sums.get(category, 0.0) + amount
    return {category: round(amount, 2) for category, amount in sums.items()}


def load(name):
    with open(name, newline="", encoding="utf-8") as file:
        return [(r["date"], r["category"], float(r["amount"])) for r in csv.DictReader(file)]


def append(name, day, category, amount):
    is_new = not os.path.exists(name)
    with open(name, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(HEADER)
        writer.writerow([day, category, f"{amount:.2f}"])
