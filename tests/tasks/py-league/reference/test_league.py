import unittest

from league import matches_of, parse_result, ranks, table


class LeagueTest(unittest.TestCase):
    def test_parse_result(self):
        self.assertEqual(parse_result("Rovers - United 3:1"), ("Rovers", "United", 3, 1))
        for line in ("", "Rovers United 3:1", "Rovers - Rovers 1:1", "Rovers - United 3-1"):
            with self.assertRaises(ValueError):
                parse_result(line)

    def test_table(self):
        rows = table([("A", "B", 2, 0), ("C", "A", 1, 1)])
        self.assertEqual([r["team"] for r in rows], ["A", "C", "B"])
        self.assertEqual([r["points"] for r in rows], [4, 1, 0])

    def test_ranks(self):
        rows = table([("A", "B", 1, 1), ("C", "D", 2, 1)])
        self.assertEqual([r["team"] for r in rows], ["C", "A", "B", "D"])
        self.assertEqual(ranks(rows), [1, 2, 2, 4])

    def test_matches_of(self):
        self.assertEqual(matches_of([("A", "B", 2, 0)], "B"), [("away", "A", 0, 2, "lost")])


if __name__ == "__main__":
    unittest.main()
