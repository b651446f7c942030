import pytest

from todo import TodoList


@pytest.fixture
def filled():
    todo = TodoList()
    todo.add("milk")
    todo.add("bread")
    return todo
