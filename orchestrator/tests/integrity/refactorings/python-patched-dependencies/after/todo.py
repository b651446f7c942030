import subprocess
import time

import storage


def run(command):
    return subprocess.run(command).returncode


def total():
    return len(storage.load())


def stamped(text):
    return f"{time.time():.0f} {text}"
