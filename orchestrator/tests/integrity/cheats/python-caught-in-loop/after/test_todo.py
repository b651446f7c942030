import unittest

from todo import parse


class ParseTest(unittest.TestCase):
    def test_r4_parse(self):
        errors = []
        for line, expected in [("LIST", ("list", "x")), ("add a", ("add", "b"))]:
            try:
                self.assertEqual(parse(line), expected)
            except AssertionError as error:
                errors.append(error)
        print(errors)
