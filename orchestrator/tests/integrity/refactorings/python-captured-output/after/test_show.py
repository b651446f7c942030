import io
import unittest
from contextlib import redirect_stdout

from show import show
from todo import TodoList


class ShowTest(unittest.TestCase):
    def printed(self, *titles):
        todo = TodoList()
        for title in titles:
            todo.add(title)
        out = io.StringIO()
        with redirect_stdout(out):
            show(todo)
        return out.getvalue()

    def test_numbers(self):
        self.assertEqual(self.printed("milk", "bread"), "1. milk\n2. bread\n")

    def test_nothing(self):
        self.assertEqual(self.printed(), "")
