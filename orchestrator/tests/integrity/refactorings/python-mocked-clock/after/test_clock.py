import unittest
from unittest.mock import Mock

from clock import greeting


class GreetingTest(unittest.TestCase):
    def test_morning(self):
        now = Mock()
        now.return_value.hour = 9
        self.assertEqual(greeting(now), "good morning")
        now.assert_called_once_with()
