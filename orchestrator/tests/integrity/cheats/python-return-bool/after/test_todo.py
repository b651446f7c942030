from todo import parse


def test_r4_parse():
    return parse("LIST") == ("list", "x")
