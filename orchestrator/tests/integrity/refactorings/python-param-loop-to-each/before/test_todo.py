import unittest

from todo import parse


class ParseTest(unittest.TestCase):
    def test_r4_parse(self):
        for line, command in (("LIST", "list"), ("Add x", "add"), ("", "")):
            self.assertEqual(parse(line)[0], command)
