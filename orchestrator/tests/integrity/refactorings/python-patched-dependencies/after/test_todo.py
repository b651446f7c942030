import sys
import unittest
from unittest.mock import MagicMock, patch

import todo


class TodoTest(unittest.TestCase):
    @patch("todo.subprocess.run")
    def test_r1_run(self, process):
        process.return_value.returncode = 3
        self.assertEqual(todo.run(["x"]), 3)

    @patch("todo.storage.load", return_value=["a", "b"])
    def test_r2_total(self, load):
        self.assertEqual(todo.total(), 2)

    def test_r3_stamped(self):
        with patch("todo.time.time", return_value=7), patch("builtins.print"):
            self.assertEqual(todo.stamped("x"), "7 x")

    def test_r4_without_a_module(self):
        with patch.dict(sys.modules, {"requests": MagicMock()}):
            self.assertEqual(todo.stamped("x").split()[1], "x")

    def test_r5_another_storage(self):
        fake = MagicMock()
        fake.load.return_value = [1]
        with patch.dict(sys.modules, {"storage": fake}), patch.object(todo, "storage", fake):
            self.assertEqual(todo.total(), 1)
