import unittest

from lending import days_late, due_date, is_date, is_days


class LendingTest(unittest.TestCase):
    def test_due_date(self):
        self.assertEqual(due_date("2024-02-27", 3), "2024-03-01")
        self.assertEqual(due_date("2023-12-31", 1), "2024-01-01")

    def test_days_late(self):
        self.assertEqual(days_late("2024-02-27", "2024-03-01"), 3)
        self.assertEqual(days_late("2024-03-01", "2024-03-01"), 0)
        self.assertEqual(days_late("2024-03-02", "2024-03-01"), 0)

    def test_input(self):
        self.assertTrue(is_date("2024-02-29"))
        self.assertFalse(is_date("2023-02-29"))
        self.assertTrue(is_days("7"))
        self.assertFalse(is_days("0"))
        self.assertFalse(is_days("1.5"))


if __name__ == "__main__":
    unittest.main()
