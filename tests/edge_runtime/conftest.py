"""A tiny real bundle, and the command line as a user meets it: in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import colour_bundle as maker

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The colour bundle; do not write into it."""
    return maker.make_bundle(tmp_path_factory.mktemp("packed") / "bundle")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A fresh copy of the colour bundle, to be damaged."""
    return maker.make_bundle(tmp_path / "bundle")


@pytest.fixture
def classify(packed: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`edge-classify` with the colour bundle; stdout and stderr are text, surrogates included."""
    monkeypatch.setenv("RAREFAULT_BUNDLE", str(packed))

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edge_runtime.classify", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload]

    return run
