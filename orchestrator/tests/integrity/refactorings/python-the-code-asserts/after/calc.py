def add(a, b):
    assert isinstance(a, int), "a is no number"
    return a + b


def check(number):
    if number is None:
        raise ValueError("no number")
    if number < 0:
        raise AssertionError("a number below nothing")
    return number
