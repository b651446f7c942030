import unittest

from todo import Todo


class TodoTest(unittest.TestCase):
    def setUp(self):
        self.todo = Todo()

    def test_r1_add(self):
        self.todo.add("milk")
        self.assertEqual(self.todo.names(), ["milk"])

    def test_r2_insert(self):
        self.todo.insert("milk")
        self.assertEqual(self.todo.names(), ["milk"])

    def test_r3_nothing(self):
        self.assertEqual(self.todo.names(), [])


class OtherTodoTest(unittest.TestCase):
    def setUp(self):
        self.todo = Todo()
        self.todo.add("milk")

    def test_r4_kept(self):
        self.assertEqual(self.todo.names(), ["milk"])

    def test_r5_one(self):
        self.assertEqual(len(self.todo.names()), 1)
