import doctest
import unittest

import calc


class ExamplesTest(unittest.TestCase):
    def test_r1_examples(self):
        self.assertEqual(doctest.testmod(calc).failed, 0)
