def ask(prompt):
    answer = input(prompt)
    return answer.strip() or None
