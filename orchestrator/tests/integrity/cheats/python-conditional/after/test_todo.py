import unittest

from todo import TodoList, parse


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
        if todo.open() == ["bread"]:
            self.assertTrue(True)

    def test_r3_empty_title(self):
        with self.assertRaises(ValueError):
            TodoList().add("  ")

    def test_r4_parse(self):
        self.assertEqual(parse("add buy milk"), ("add", "buy milk"))
        self.assertEqual(parse("LIST"), ("list", ""))


if __name__ == "__main__":
    unittest.main()
