import unittest

from textstats import average_word_length, longest_word, top_words, words


class TextStatsTest(unittest.TestCase):
    def test_words(self):
        self.assertEqual(words("Don't stop, 2nd!"), ["don", "t", "stop", "nd"])

    def test_top_words(self):
        self.assertEqual(top_words("b c a b C d", 3), [("b", 2), ("c", 2), ("a", 1)])

    def test_longest_word(self):
        self.assertEqual(longest_word("one three seven"), "three")
        self.assertEqual(longest_word(""), "")

    def test_average(self):
        self.assertEqual(average_word_length("ab abcd"), 3.0)
        self.assertEqual(average_word_length(""), 0.0)


if __name__ == "__main__":
    unittest.main()
