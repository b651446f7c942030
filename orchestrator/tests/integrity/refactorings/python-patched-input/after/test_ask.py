import unittest
from unittest.mock import patch

from ask import ask


class AskTest(unittest.TestCase):
    @patch("builtins.input", return_value=" yes ")
    def test_answer(self, asked):
        self.assertEqual(ask("sure? "), "yes")
        asked.assert_called_once_with("sure? ")

    def test_nothing(self):
        with patch("builtins.input", return_value="  "):
            self.assertIsNone(ask("sure? "))
