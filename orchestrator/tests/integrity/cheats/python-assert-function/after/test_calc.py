from calc import add


def test_r1_add():
    assert add
