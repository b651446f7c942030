import sys

if "--help" in sys.argv:
    print("usage: calc A B")
    sys.exit()


def add(a, b):
    return a + b
