import unittest
from unittest.mock import patch

import todo


class ParseTest(unittest.TestCase):
    def test_r4_parse(self):
        with patch("todo.parse", return_value=("list", "")):
            self.assertEqual(todo.parse("LIST"), ("list", ""))
