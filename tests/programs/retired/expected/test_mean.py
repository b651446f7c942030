import unittest
from numbers_of import mean


class TestMean(unittest.TestCase):
    def test_r1_mean(self):
        self.assertEqual(mean([1, 2, 6]), 3)

    def test_r2_no_numbers(self):
        with self.assertRaises(ValueError):
            mean([])
