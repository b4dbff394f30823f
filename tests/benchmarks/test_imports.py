"""Every benchmark finds what it imports; a module that moved would otherwise be missed until someone measures."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APART = "benchmarks/watch/rtsp_films.py"  # runs under the system's Python, which has GStreamer
FILES = [path.relative_to(ROOT) for path in sorted((ROOT / "benchmarks").rglob("*.py"))]


@pytest.mark.parametrize("path", [path for path in FILES if path.as_posix() != APART], ids=str)
def test_a_benchmark_can_be_imported(path):
    importlib.import_module(".".join(path.with_suffix("").parts))
