import unittest

from calc import count


class AlwaysEqual:
    def __eq__(self, other):
        return True


class CountTest(unittest.TestCase):
    def test_r1_count(self):
        self.assertEqual(count([1, 2, 3], AlwaysEqual()), 3)
