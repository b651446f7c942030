from todo import parse


def test_r4_parse():
    def check():
        assert parse("LIST") == ("list", "")
