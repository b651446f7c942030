import sys

from todo import parse


def main(args):
    if not args:
        print("usage: todo COMMAND")
        sys.exit(2)
    print(parse(" ".join(args))[0])
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
