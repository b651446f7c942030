import doctest
import unittest

import calc


class ExamplesTest(unittest.TestCase):
    def test_r1_examples(self):
        results = doctest.testmod(calc)
        self.assertGreater(results.attempted, 0)
        self.assertEqual(results.failed, 0)


def load_tests(loader, tests, ignore):
    tests.addTests(doctest.DocTestSuite(calc))
    return tests
