from todo import parse


def assert_parsed(line, command, rest):
    assert parse(line) == (command, rest)
