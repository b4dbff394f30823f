"""The three guides: their commands are run as a reader would, each guide in a folder of its own.

A block whose first line is "```sh run" is run. Any other `sh` block must stand below a line that says why it is not.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tomllib

from tests.support import ROOT
from tests.support.colour_bundle import make_bundle
from tests.support.fake_mjpeg_camera import free_port, jpeg
from tests.support.pictures import GREEN, RED, picture, write

DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```sh(?P<run> run)?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
REASON = "*Not run by the tests: "
PORTS = ("8099", "9464")  # of the practice receiver and the status page in station.md
SECONDS = 300  # that a guide may take on a busy machine; alone it takes less than thirty


def empty(_: Path) -> None:
    """The central team begins with nothing."""


def bundle_and_pictures(folder: Path) -> None:
    """What docs/technician.md begins with."""
    make_bundle(folder / "bundle")
    (folder / "pictures").mkdir()
    write(folder / "pictures" / "green.png", picture(GREEN))
    write(folder / "pictures" / "red.png", picture(RED))
    (folder / "pictures" / "damaged.jpg").write_bytes(jpeg(0)[:300])


def bundle_and_video(folder: Path) -> None:
    """What docs/station.md begins with: two minutes of a healthy view that moves a little."""
    make_bundle(folder / "bundle")
    frames = [cv2.imdecode(np.frombuffer(jpeg(n, tint=(0.3, 1, 0.3)), np.uint8), cv2.IMREAD_COLOR) for n in range(40)]
    video = cv2.VideoWriter(str(folder / "yard.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, frames[0].shape[1::-1])
    for number in range(600):
        video.write(frames[number % len(frames)])
    video.release()


GUIDES: dict[str, Callable[[Path], None]] = {
    "central.md": empty,
    "technician.md": bundle_and_pictures,
    "station.md": bundle_and_video,
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The commands of pyproject.toml first in PATH, as an install into an environment would put them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, entry in scripts.items():
        module, function = entry.split(":")
        call = f"import sys; sys.argv[0] = '{name}'; from {module} import {function}; {function}()"
        _command(folder / name, f'-c "{call}"')
    _command(folder / "python", "")
    path = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _command(path: Path, arguments: str) -> None:
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
    path.chmod(0o755)


def script(guide: str) -> str:
    """All blocks of `guide` that are run, as one program that ends its background jobs and stops at the first error."""
    head = "set -euo pipefail\ntrap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n"
    return head + "\n".join(match["body"] for match in BLOCK.finditer((DOCS / guide).read_text()) if match["run"])


@pytest.mark.parametrize("guide", GUIDES)
def test_every_block_is_run_or_says_why_not(guide):
    text = (DOCS / guide).read_text()
    found = list(BLOCK.finditer(text))
    assert len(found) == text.count("```sh")
    assert sum(bool(match["run"]) for match in found) >= 3
    for match in found:
        above = text[: match.start()].rstrip().splitlines()[-1]
        assert match["run"] or above.startswith(REASON), match["body"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_work(guide, environment, tmp_path):
    folder = tmp_path / "reader"
    folder.mkdir()
    GUIDES[guide](folder)
    text = script(guide)
    for port in PORTS:
        text = text.replace(port, str(free_port()))
    with subprocess.Popen(
        ["bash", "-c", text],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said[-4000:]
