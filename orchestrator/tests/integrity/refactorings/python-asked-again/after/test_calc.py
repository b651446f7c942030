import unittest

from calc import Calc, add, parse


class AddTest(unittest.TestCase):
    def test_r1_add(self):
        self.assertEqual(add(1, 2), 3)
        self.assertEqual(add(2, 2), 4)

    def test_r1_small_numbers(self):
        self.assertEqual(add(1, 2), 3)

    def test_small_numbers(self):
        self.assertEqual(add(2, 2), 4)

    def test_r2_last(self):
        calc = Calc()
        calc.add(1, 2)
        self.assertEqual(calc.last, 3)

    def test_r3_parse(self):
        with self.assertRaises(ValueError):
            parse("")
        self.assertEqual(parse("7"), 7)

    def test_r4_errors_and_numbers(self):
        with self.assertRaises(ValueError):
            parse("")
        self.assertEqual(parse("8"), 8)
