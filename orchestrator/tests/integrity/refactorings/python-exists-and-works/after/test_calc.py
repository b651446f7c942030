import unittest

import calc
from calc import Adder, add


class AddTest(unittest.TestCase):
    def setUp(self):
        self.calc = Adder(1)

    def test_r1_add(self):
        self.assertTrue(callable(add))
        self.assertEqual(add(1, 2), 3)

    def test_r1_adder(self):
        self.assertTrue(hasattr(self.calc, "one"))

    def test_r1_settings(self):
        self.assertTrue(calc.LIMIT)

    def test_r1_truth(self):
        self.assertTrue(add(0, 1))
        self.assertIsNotNone(add(0, 0))
