import unittest
from unittest.mock import Mock

from todo import TodoList


class TodoTest(unittest.TestCase):
    def test_r2_done(self):
        todo = Mock(spec=TodoList)
        todo.open.return_value = ["bread"]
        todo.done(1)
        self.assertEqual(todo.open(), ["bread"])
