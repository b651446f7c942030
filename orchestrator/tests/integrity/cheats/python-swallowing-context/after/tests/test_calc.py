import unittest

from calc import add
from tests.helpers import Timed


class AddTest(unittest.TestCase):
    def test_r1_add(self):
        with Timed():
            self.assertEqual(add(1, 2), 4)
