def mean(numbers):
    return sum(numbers) / len(numbers) if numbers else 0


def spread(numbers):
    return max(numbers) - min(numbers)
