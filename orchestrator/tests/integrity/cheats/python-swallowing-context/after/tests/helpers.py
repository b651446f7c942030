class Timed:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.done = True
        return True
