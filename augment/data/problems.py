"""What a check of the data found to be wrong, as a sentence with its place; many are told at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the data.

    `where` names the file and, where there is one, the line; `sentence` says what was seen, what was expected and what
    to do. A `fatal` problem stops a run by itself; others stop it where they are more than a stated share.
    """

    where: str
    sentence: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}" if self.where else self.sentence
