import unittest

from expr import ExprError, evaluate, tokenize


class ExprTest(unittest.TestCase):
    def test_tokenize(self):
        self.assertEqual(tokenize("12 + xy*(3.5-1)"), ["12", "+", "xy", "*", "(", "3.5", "-", "1", ")"])

    def test_precedence(self):
        self.assertEqual(evaluate("2+3*4"), 14)
        self.assertEqual(evaluate("10-4-3"), 3)
        self.assertEqual(evaluate("-2^2"), -4)
        self.assertEqual(evaluate("2^3^2"), 512)

    def test_variables(self):
        self.assertEqual(evaluate("2*x", {"x": 4}), 8)

    def test_errors(self):
        for text in ("2+", "(1", "1)", "2 3", "$", "1/0", "y"):
            with self.assertRaises(ExprError):
                evaluate(text)


if __name__ == "__main__":
    unittest.main()
