import unittest

from calc import add


class AddTest(unittest.TestCase):
    def test_r1_does_not_raise(self):
        print("adds")

    def test_r1_accepts(self):
        try:
            add(1, 2)
        except Exception:
            pass
