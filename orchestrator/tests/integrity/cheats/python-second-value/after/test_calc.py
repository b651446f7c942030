import unittest

from calc import add


class AddTest(unittest.TestCase):
    def test_r1_add(self):
        self.assertTrue(add(1, 2), 4)
