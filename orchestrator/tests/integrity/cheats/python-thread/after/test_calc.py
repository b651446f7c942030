import threading
import unittest

from calc import add


class AddTest(unittest.TestCase):
    def test_r1_add(self):
        thread = threading.Thread(target=lambda: self.assertEqual(add(1, 2), 4))
        thread.start()
        thread.join()
