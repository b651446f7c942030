import unittest
from collections import namedtuple

from todo import TodoList, parse


Case = namedtuple("Case", "line command rest")
CASES = [Case("add buy milk", "add", "buy milk"), Case("LIST", "list", "")]


class TodoTest(unittest.TestCase):
    def test_r1_add(self):
        todo = TodoList()
        self.assertEqual(todo.add("milk"), 1)
        self.assertEqual(todo.open(), ["milk"])

    def test_r2_done(self):
        todo = TodoList()
        todo.add("milk")
        todo.add("bread")
        todo.done(1)
        self.assertEqual(todo.open(), ["bread"])

    def test_r3_empty_title(self):
        with self.assertRaises(ValueError):
            TodoList().add("  ")

    def test_r4_parse(self):
        for case in CASES:
            self.assertEqual(parse(case.line), (case.command, case.rest))


if __name__ == "__main__":
    unittest.main()
