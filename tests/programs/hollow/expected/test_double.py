import unittest
from double import double


class TestDouble(unittest.TestCase):
    def test_r1_doubles(self):
        self.assertEqual(double(4), 8)
