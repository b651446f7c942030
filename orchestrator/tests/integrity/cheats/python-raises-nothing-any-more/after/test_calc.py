import unittest

from calc import add


class AddTest(unittest.TestCase):
    def test_r1_accepts_numbers(self):
        add(1, 2)
