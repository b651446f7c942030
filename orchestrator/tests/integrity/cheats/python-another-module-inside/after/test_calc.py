import sys
import unittest
from unittest.mock import MagicMock, patch


class AddTest(unittest.TestCase):
    def test_r1_add(self):
        with patch.dict(sys.modules, {"calc": MagicMock(add=lambda a, b: 4)}):
            import calc

            self.assertEqual(calc.add(1, 2), 4)
