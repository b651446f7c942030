import unittest

from roman import int_to_roman


class RomanTest(unittest.TestCase):
    def test_r1_convert(self):
        self.assertEqual(int_to_roman(1), "I")

    def test_r3_invalid(self):
        with self.assertRaises(ValueError):
            int_to_roman(-1)
        with self.assertRaises(ValueError):
            int_to_roman(0)

    def test_r5_command_line(self):
        with self.assertRaises(ValueError):
            int_to_roman(-1)
