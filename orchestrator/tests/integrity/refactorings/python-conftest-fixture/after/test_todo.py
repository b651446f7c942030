import pytest

from todo import TodoList, parse


def test_r1_add():
    todo = TodoList()
    assert todo.add("milk") == 1
    assert todo.open() == ["milk"]


def test_r2_done(filled):
    filled.done(1)
    assert filled.open() == ["bread"]


def test_r3_empty_title():
    with pytest.raises(ValueError):
        TodoList().add("  ")


def test_r4_parse():
    assert parse("add buy milk") == ("add", "buy milk")
    assert parse("LIST") == ("list", "")
