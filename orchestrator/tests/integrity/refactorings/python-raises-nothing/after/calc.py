def check(number):
    if number < 0:
        raise ValueError(number)


class Checker:
    def run(self):
        check(2)
