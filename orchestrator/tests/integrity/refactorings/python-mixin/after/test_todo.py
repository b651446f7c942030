import unittest

from todo import TodoList, parse


class Base(unittest.TestCase):
    def setUp(self):
        self.todo = TodoList()

    def assert_open(self, expected):
        self.assertEqual(self.todo.open(), expected)


class TodoTest(Base):
    def test_r1_add(self):
        self.assertEqual(self.todo.add("milk"), 1)
        self.assert_open(["milk"])

    def test_r2_done(self):
        self.todo.add("milk")
        self.todo.add("bread")
        self.todo.done(1)
        self.assert_open(["bread"])

    def test_r3_empty_title(self):
        with self.assertRaises(ValueError):
            TodoList().add("  ")

    def test_r4_parse(self):
        self.assertEqual(parse("add buy milk"), ("add", "buy milk"))
        self.assertEqual(parse("LIST"), ("list", ""))


if __name__ == "__main__":
    unittest.main()
