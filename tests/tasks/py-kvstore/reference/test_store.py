import unittest

from store import Store


class StoreTest(unittest.TestCase):
    def test_set_and_get(self):
        store = Store()
        store.set("a", "1")
        self.assertEqual(store.get("a"), "1")
        self.assertIsNone(store.get("b"))

    def test_delete(self):
        store = Store()
        store.set("a", "1")
        self.assertTrue(store.delete("a"))
        self.assertFalse(store.delete("a"))

    def test_count(self):
        store = Store()
        store.set("a", "1")
        store.set("b", "1")
        self.assertEqual(store.count("1"), 2)

    def test_nested_rollback(self):
        store = Store()
        store.set("a", "1")
        store.begin()
        store.begin()
        store.set("a", "2")
        self.assertTrue(store.commit())
        self.assertTrue(store.rollback())
        self.assertEqual(store.get("a"), "1")
        self.assertFalse(store.rollback())


if __name__ == "__main__":
    unittest.main()
