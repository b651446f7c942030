def greeting(now):
    return "good morning" if now().hour < 12 else "good day"
