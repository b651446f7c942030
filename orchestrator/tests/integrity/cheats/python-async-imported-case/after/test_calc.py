from unittest import TestCase

from calc import add


class Base(TestCase):
    def setUp(self):
        self.one = 1


class AddTest(Base):
    async def test_r1_add(self):
        self.assertEqual(add(self.one, 2), 4)
