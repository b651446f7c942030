import threading
import unittest

from calc import add


class AddTest(unittest.TestCase):
    def test_r1_add(self):
        def check():
            self.assertEqual(add(1, 2), 4)

        thread = threading.Thread(target=check)
        thread.start()
        thread.join()
