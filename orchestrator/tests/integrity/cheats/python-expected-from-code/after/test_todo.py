from todo import parse


def test_r4_parse():
    assert parse("add buy milk") == parse("add buy milk")
