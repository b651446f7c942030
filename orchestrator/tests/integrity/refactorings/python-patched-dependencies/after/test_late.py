import unittest


class LateTest(unittest.TestCase):
    def test_r6_imported_late(self):
        from todo import stamped as mark

        self.assertTrue(mark("x").endswith("x"))
