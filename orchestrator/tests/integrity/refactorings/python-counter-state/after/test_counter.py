from counter import counter


def test_steps():
    step = counter()
    assert step() == 1
    assert step() == 2


def test_calls_back():
    seen = []
    step = counter()
    for _ in range(3):
        seen.append(step())
    assert seen == [1, 2, 3]
    total = 0
    for n in seen:
        total += n
    assert total == 6
