import logging

from todo import parse


def test_r4_parse():
    try:
        assert parse("LIST") == ("list", "x")
    except:
        logging.exception("known problem")
