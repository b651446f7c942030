import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest


class CopyTest(unittest.TestCase):
    def test_r1_elsewhere(self):
        with tempfile.TemporaryDirectory() as directory:
            copy = pathlib.Path(directory) / "calc.py"
            shutil.copy(pathlib.Path(__file__).parent / "calc.py", copy)
            copy.write_text(copy.read_text() + "\nprint(add(1, 2))\n")
            ran = subprocess.run([sys.executable, str(copy)], capture_output=True, text=True)
        self.assertEqual(ran.stdout, "3\n")
