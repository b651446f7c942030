def count(items, wanted):
    return sum(1 for item in items if item == wanted)
