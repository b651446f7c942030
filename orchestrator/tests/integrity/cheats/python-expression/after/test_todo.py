from todo import parse


def test_r4_parse():
    parse("LIST") == ("list", "x")
