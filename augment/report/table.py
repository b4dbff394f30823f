"""A table of the report page."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of a row names it, and is marked as a fault class if it stands in `marked`."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Sequence[str] = ()
