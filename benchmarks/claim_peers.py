"""`edge-classify` beside what people would use instead; see `measure`."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.claims import Part


def measure(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Measure pictures a second, start-up, memory and installed bytes of every peer."""
    raise NotImplementedError
