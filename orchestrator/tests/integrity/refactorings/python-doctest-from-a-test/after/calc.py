"""Adds."""


def add(a, b):
    """The sum.

    >>> add(1, 2)
    3
    """
    return a + b
