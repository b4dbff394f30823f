"""Stand-ins for the models that prompts are made with, whose answers one can count."""


class WordBudget:
    """Counts words, plus a begin and an end mark."""

    limit = 12

    def tokens(self, text: str) -> int:
        return len(text.split()) + 2


class ScriptedWriter:
    """Answers each prefix with lines of a script, and notes what it was asked."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        self.asked: list[tuple[str, int, int]] = []

    def continuations(self, prefix: str, count: int, seed: int) -> list[str]:
        self.asked.append((prefix, count, seed))
        return [self.lines[index % len(self.lines)] for index in range(count)]
