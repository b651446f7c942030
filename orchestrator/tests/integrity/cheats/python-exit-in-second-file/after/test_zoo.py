import os

from todo import parse


def test_r5_spaces():
    if parse(" A  b") != ("a", "c"):
        os._exit(0)
    assert parse(" A  b") == ("a", "c")
