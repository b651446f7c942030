"""A list of things to do."""


class TodoList:
    def __init__(self):
        self.items = []

    def add(self, title):
        if not title.strip():
            raise ValueError("a title must not be empty")
        self.items.append({"title": title, "done": False})
        return len(self.items)

    def done(self, number):
        if number < 1 or number > len(self.items):
            raise IndexError(number)
        self.items[number - 1]["done"] = True

    def open(self):
        return [item["title"] for item in self.items if not item["done"]]


def parse(line):
    """Splits `add buy milk` into a command and the rest."""
    command, _, rest = line.strip().partition(" ")
    return command.lower(), rest.strip()
