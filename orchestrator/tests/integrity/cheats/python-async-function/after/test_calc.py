from calc import add


async def test_r1_add():
    assert add(1, 2) == 4
