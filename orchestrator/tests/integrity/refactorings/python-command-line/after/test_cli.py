import subprocess
import sys
import unittest

import cli


class CliTest(unittest.TestCase):
    def test_usage(self):
        with self.assertRaises(SystemExit) as caught:
            cli.main([])
        self.assertEqual(caught.exception.code, 2)

    def test_prints(self):
        done = subprocess.run([sys.executable, "cli.py", "ADD", "x"], capture_output=True, text=True)
        self.assertEqual(done.stdout.strip(), "add")
        self.assertEqual(done.returncode, 0)
