from todo import parse


def test_r4_parse():
    for line, expected in []:
        assert parse(line) == expected
