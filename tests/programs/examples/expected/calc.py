import sys
from sums import add

if __name__ == "__main__":
    print(add(*[int(word) for word in sys.argv[1:]]))
