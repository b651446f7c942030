def add(tasks, text):
    return tasks + [{"text": text, "done": False}]
