"""Prints statistics about a text file."""

import sys

import textstats

USAGE = "usage: stats.py {count,top,longest,average,lengths} FILE [N]"


def read(name):
    if name == "-":
        return sys.stdin.buffer.read().decode("utf-8")
    with open(name, encoding="utf-8", newline="") as file:
        return file.read()


def main(args):
    if len(args) < 2 or args[0] not in ("count", "top", "longest", "average", "lengths"):
        print(USAGE, file=sys.stderr)
        return 2
    command, name = args[0], args[1]
    try:
        text = read(name)
    except (OSError, UnicodeDecodeError):
        print(f"error: cannot read {name}", file=sys.stderr)
        return 1
    if command == "count":
        print(f"lines: {text.count(chr(10))}")
        print(f"words: {len(textstats.words(text))}")
        print(f"chars: {len(text)}")
    elif command == "top":
        n = int(args[2]) if len(args) > 2 else 5
        for word, count in textstats.top_words(text, n):
            print(word, count)
    elif command == "longest":
        word = textstats.longest_word(text)
        print(f"{word} ({len(word)})")
    elif command == "average":
        print(f"{textstats.average_word_length(text):.2f}")
    else:
        for length, count in textstats.word_lengths(text):
            print(f"{length}: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
