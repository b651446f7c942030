def int_to_roman(number):
    if number < 1:
        raise ValueError("too small")
    return "I" * number


def main(argv):
    print(int_to_roman(int(argv[0])))
