import pytest

from todo import TodoList, parse


@pytest.fixture
def todo():
    return TodoList()


def test_r1_add(todo):
    assert todo.add("milk") == 1
    assert todo.open() == ["milk"]


def test_r2_done(todo):
    todo.add("milk")
    todo.add("bread")
    todo.done(1)
    assert todo.open() == ["bread"]


def test_r3_empty_title(todo):
    with pytest.raises(ValueError):
        todo.add("  ")


@pytest.mark.parametrize(
    "line, command, rest",
    [("add buy milk", "add", "buy milk"), ("LIST", "list", "")],
)
def test_r4_parse(line, command, rest):
    assert parse(line) == (command, rest)
