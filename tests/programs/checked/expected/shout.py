import sys


def shout(text):
    return text.strip().upper()


if __name__ == "__main__":
    said = shout(sys.stdin.read())
    print(said)
    with open("out.txt", "w") as file:
        file.write(said)
