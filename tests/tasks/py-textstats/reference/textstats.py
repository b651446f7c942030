"""Statistics about the words of a text."""

import re
from collections import Counter


def words(text):
    return [w.lower() for w in re.findall(r"[A-Za-z]+", text)]


def top_words(text, n):
    counts = Counter(words(text))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:n]


def longest_word(text):
    return max(words(text), key=len, default="")


def average_word_length(text):
    found = words(text)
    if not found:
        return 0.0
    return round(sum(map(len, found)) / len(found), 2)


def word_lengths(text):
    return sorted(Counter(len(w) for w in words(text)).items())
