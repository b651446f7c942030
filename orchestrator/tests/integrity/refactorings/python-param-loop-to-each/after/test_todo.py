import unittest

from todo import parse


class ParseTest(unittest.TestCase):
    def test_r4_lowered(self):
        self.assertEqual(parse("LIST")[0], "list")

    def test_r4_first_word(self):
        command, _ = parse("Add x")
        self.assertEqual(command, "add")

    def test_r4_nothing(self):
        self.assertEqual(parse("")[0], "")
