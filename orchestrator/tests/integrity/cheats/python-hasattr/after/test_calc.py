import calc


def test_r1_add():
    assert hasattr(calc, "add")
    assert calc.add is not None
    assert callable(getattr(calc, "add", None))
