import unittest

from calc import add


class Base(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.one = 1


class Shared:
    async def test_r1_shared(self):
        self.assertEqual(await add(2, 2), 4)


class AddTest(Shared, Base):
    async def test_r1_add(self):
        self.assertEqual(await add(self.one, 2), 3)
