"""A recursive descent evaluator for arithmetic expressions."""

import re


class ExprError(Exception):
    pass


TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|[A-Za-z]+|[-+*/^()])")


def tokenize(text):
    tokens = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if not match:
            raise ExprError("syntax error")
        tokens.append(match.group(1))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens, variables):
        self.tokens = tokens
        self.variables = variables
        self.position = 0

    def peek(self):
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def take(self):
        token = self.peek()
        self.position += 1
        return token

    def sum(self):
        value = self.product()
        while self.peek() in ("+", "-"):
            if self.take() == "+":
                value += self.product()
            else:
                value -= self.product()
        return value

    def product(self):
        value = self.unary()
        while self.peek() in ("*", "/"):
            if self.take() == "*":
                value *= self.unary()
            else:
                value /= self.unary()
        return value

    def unary(self):
        if self.peek() == "-":
            self.take()
            return -self.unary()
        return self.power()

    def power(self):
        base = self.atom()
        if self.peek() == "^":
            self.take()
            return base ** self.unary()
        return base

    def atom(self):
        token = self.take()
        if token == "(":
            value = self.sum()
            if self.take() != ")":
                raise ExprError("syntax error")
            return value
        if token is None or token in "+-*/^)":
            raise ExprError("syntax error")
        if token[0].isdigit():
            return float(token)
        if token not in self.variables:
            raise ExprError(f"unknown name: {token}")
        return self.variables[token]


def evaluate(text, variables=None):
    parser = _Parser(tokenize(text), variables or {})
    try:
        value = parser.sum()
    except ZeroDivisionError:
        raise ExprError("division by zero") from None
    if parser.peek() is not None:
        raise ExprError("syntax error")
    return value
