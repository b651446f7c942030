import asyncio
import functools
import unittest

import pytest
from calc import add


def awaited(test):
    @functools.wraps(test)
    def run(*given):
        return asyncio.run(test(*given))

    return run


@pytest.mark.asyncio
async def test_r1_marked():
    assert await add(2, 2) == 4


async def test_r1_by_the_settings():
    assert await add(2, 3) == 5


class WrappedTest(unittest.TestCase):
    @awaited
    async def test_r1_wrapped(self):
        self.assertEqual(await add(3, 3), 6)

    def test_r1_run(self):
        async def check():
            self.assertEqual(await add(3, 4), 7)

        asyncio.run(check())
