from todo import TodoList


def show(todo):
    for number, title in enumerate(todo.open(), 1):
        print(f"{number}. {title}")
