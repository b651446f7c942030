class Todo:
    def __init__(self):
        self.items = []

    def add(self, name):
        self.items.append(name)

    def insert(self, name):
        self.items.insert(0, name)

    def names(self):
        return self.items
