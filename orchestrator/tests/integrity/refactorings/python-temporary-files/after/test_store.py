import os
import tempfile
import unittest

import store


class StoreTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "todo.json")

    def test_round_trip(self):
        items = [{"title": "milk"}]
        store.save(self.path, items)
        self.assertEqual(store.load(self.path), items)

    def test_creates_the_file(self):
        self.assertFalse(os.path.exists(self.path))
        store.save(self.path, [])
        self.assertTrue(os.path.exists(self.path))
