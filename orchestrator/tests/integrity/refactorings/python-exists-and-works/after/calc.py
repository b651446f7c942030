LIMIT = 3


class Adder:
    def __init__(self, one):
        self.one = one


def add(a, b):
    return a + b
