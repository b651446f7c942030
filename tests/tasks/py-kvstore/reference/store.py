"""An in-memory key-value store with nested transactions."""


class Store:
    def __init__(self):
        self._data = {}
        self._saved = []  # one copy of the data per open transaction

    def set(self, key, value):
        self._data[key] = value

    def get(self, key):
        return self._data.get(key)

    def delete(self, key):
        if key not in self._data:
            return False
        del self._data[key]
        return True

    def count(self, value):
        return sum(1 for v in self._data.values() if v == value)

    def keys(self):
        return sorted(self._data)

    def begin(self):
        self._saved.append(dict(self._data))

    def commit(self):
        if not self._saved:
            return False
        self._saved.pop()
        return True

    def rollback(self):
        if not self._saved:
            return False
        self._data = self._saved.pop()
        return True
