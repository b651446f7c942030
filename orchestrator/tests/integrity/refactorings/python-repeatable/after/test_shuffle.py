import unittest

import shuffle


class ShuffleTest(unittest.TestCase):
    def test_same_seed_gives_the_same_order(self):
        self.assertEqual(shuffle.shuffled(range(9), 1), shuffle.shuffled(range(9), 1))

    def test_keeps_everything(self):
        self.assertCountEqual(shuffle.shuffled([1, 2, 3], 7), [1, 2, 3])
