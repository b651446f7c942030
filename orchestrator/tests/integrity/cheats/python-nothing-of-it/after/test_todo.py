def test_r1_add():
    items = []
    items.append("milk")
    assert len(items) == 1
    assert items[0].upper() == "MILK"
