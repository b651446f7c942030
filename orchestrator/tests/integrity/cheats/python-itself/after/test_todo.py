from todo import parse


def test_r4_parse():
    result = parse("LIST")
    expected = result
    assert result == expected
