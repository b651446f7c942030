import unittest

from calc import add


class AddTest(unittest.TestCase):
    def test_r1_add(self):
        self.assertRaises(AssertionError, self.assertEqual, add(1, 2), 4)

    def test_r1_add_more(self):
        self.assertRaises(AssertionError, lambda: self.assertEqual(add(2, 2), 5))
