import contextlib
import functools
import threading
import time
import unittest

from calc import add


class Directory:
    def __enter__(self):
        return "here"

    def __exit__(self, kind, error, trace):
        if kind is KeyError:
            return True
        return False


@contextlib.contextmanager
def scenario(name):
    try:
        yield name
    finally:
        print(name)


@contextlib.contextmanager
def explained(name):
    try:
        yield name
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error


def eventually(test):
    @functools.wraps(test)
    def run(*given):
        for _ in range(3):
            try:
                return test(*given)
            except AssertionError:
                time.sleep(0.01)
        return test(*given)

    return run


class AddTest(unittest.TestCase):
    def test_r1_in_a_directory(self):
        with Directory():
            self.assertEqual(add(1, 2), 3)

    def test_r1_scenario(self):
        with scenario("two"), explained("more"):
            self.assertEqual(add(2, 2), 4)

    @eventually
    def test_r1_eventually(self):
        self.assertEqual(add(2, 3), 5)

    def test_r1_suppressed_elsewhere(self):
        with contextlib.suppress(KeyError, FileNotFoundError):
            self.assertEqual(add(3, 3), 6)

    def test_r1_in_threads(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(add(4, 4))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [8, 8])

    def test_r1_errors_of_a_thread(self):
        errors = []

        def check():
            try:
                self.assertEqual(add(5, 5), 10)
            except AssertionError as error:
                errors.append(error)

        thread = threading.Thread(target=check)
        thread.start()
        thread.join()
        self.assertEqual((errors, add(5, 6)), ([], 11))
