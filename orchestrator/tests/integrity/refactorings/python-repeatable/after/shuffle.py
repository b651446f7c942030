import random


def shuffled(items, seed):
    out = list(items)
    random.Random(seed).shuffle(out)
    return out
