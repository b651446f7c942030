import unittest

import calc
from calc import Checker, check


class CheckTest(unittest.TestCase):
    def test_r1_does_not_raise(self):
        check(1)

    def test_r1_accepts_zero(self):
        for number in (0, 1):
            calc.check(number)

    def test_r2_checker_without_errors(self):
        checker = Checker()
        checker.run()
