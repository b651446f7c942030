from todo import parse


def test_r4_parse():
    assert (parse("LIST") == ("list", "x"), "the command is lowered")
