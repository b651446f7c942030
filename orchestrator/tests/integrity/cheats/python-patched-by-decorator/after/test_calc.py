import unittest
from unittest.mock import patch

import calc


class AddTest(unittest.TestCase):
    @patch("calc.add", return_value=4)
    def test_r1_add(self, add):
        self.assertEqual(calc.add(1, 2), 4)

    @patch.object(calc, "add", return_value=5)
    def test_r1_add_more(self, add):
        self.assertEqual(calc.add(2, 2), 5)
