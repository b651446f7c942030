import unittest

from book import is_date, parse_amount, totals


class BookTest(unittest.TestCase):
    def test_parse_amount(self):
        self.assertEqual(parse_amount("12.5"), 12.5)
        for text in ("abc", "0", "-1", ""):
            with self.assertRaises(ValueError):
                parse_amount(text)

    def test_is_date(self):
        self.assertTrue(is_date("2024-02-29"))
        self.assertFalse(is_date("2024-02-30"))
        self.assertFalse(is_date("20240229"))

    def test_totals(self):
        rows = [("2024-05-01", "food", 0.1), ("2024-05-02", "food", 0.2)]
        self.assertEqual(totals(rows), {"food": 0.3})


if __name__ == "__main__":
    unittest.main()
