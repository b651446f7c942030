import asyncio
import unittest

import feed


async def numbers(*values):
    for value in values:
        yield value


class FeedTest(unittest.IsolatedAsyncioTestCase):
    async def test_first(self):
        self.assertEqual(await feed.first(numbers(3, 4)), 3)

    def test_nothing(self):
        self.assertIsNone(asyncio.run(feed.first(numbers())))
