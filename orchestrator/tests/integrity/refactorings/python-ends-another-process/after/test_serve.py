import os
import signal
import subprocess
import sys
import unittest


class TestServe(unittest.TestCase):
    def test_r1_ends_when_it_is_asked(self):
        process = subprocess.Popen([sys.executable, "serve.py"])
        os.kill(process.pid, signal.SIGTERM)
        self.assertEqual(process.wait(10), -signal.SIGTERM)
