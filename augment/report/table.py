"""A table of the report page."""

from collections.abc import Sequence
from dataclasses import dataclass

from augment.evaluation.tables import percent
from augment.record_types import Interval


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of a row names it, and is marked as a fault class if it stands in `marked`."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Sequence[str] = ()

    def without(self, nothing: str) -> "Table":
        """Return the table without the columns in which every row says `nothing`."""
        kept = [place for place in range(len(self.head)) if {row[place] for row in self.rows} != {nothing}]
        rows = [[row[place] for place in kept] for row in self.rows]
        return Table(self.caption, [self.head[place] for place in kept], rows, self.marked)


class Bar(str):
    """The text of a cell that a page draws a bar for: to `share`, 0..1, with a paler part from `low` to `high`."""

    share: float
    low: float
    high: float

    def __new__(cls, text: str, share: float, low: float | None = None, high: float | None = None) -> "Bar":
        """Make a cell; without a range the bar ends at `share`."""
        made = super().__new__(cls, text)
        made.share = min(1.0, max(0.0, share))
        made.low, made.high = (made.share if end is None else min(1.0, max(0.0, end)) for end in (low, high))
        return made


def bar(interval: Interval) -> Bar:
    """Return a share with its interval as a cell."""
    return Bar(percent(interval), interval.value, interval.low, interval.high)
