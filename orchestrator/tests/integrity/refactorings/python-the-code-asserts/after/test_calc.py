import unittest

import pytest
from calc import add, check


class AddTest(unittest.TestCase):
    def test_r1_numbers_only(self):
        with self.assertRaises(AssertionError):
            add("a", 2)

    def test_r1_handed_over(self):
        self.assertRaises(AssertionError, check, -1)

    def test_r1_message(self):
        with self.assertRaises(ValueError) as caught:
            check(None)
        self.assertEqual(str(caught.exception), "no number")


def test_r1_wrapped():
    with pytest.raises(ValueError):
        assert check(None) == 0
