import json
import pathlib


def save(path, items):
    pathlib.Path(path).write_text(json.dumps(items))


def load(path):
    return json.loads(pathlib.Path(path).read_text())
