import unittest

from todo import TodoList, parse


FIRST = "milk"
SECOND = "bread"


class TodoTest(unittest.TestCase):
    def test_r1_add(self):
        todo = TodoList()
        self.assertEqual(todo.add(FIRST), 1)
        self.assertEqual(todo.open(), [FIRST])

    def test_r2_done(self):
        todo = TodoList()
        todo.add(FIRST)
        todo.add(SECOND)
        todo.done(1)
        self.assertEqual(todo.open(), [SECOND])

    def test_r3_empty_title(self):
        with self.assertRaises(ValueError):
            TodoList().add("  ")

    def test_r4_parse(self):
        self.assertEqual(parse("add buy milk"), ("add", "buy milk"))
        self.assertEqual(parse("LIST"), ("list", ""))


if __name__ == "__main__":
    unittest.main()
