"""The base install, alone in a fresh environment, is all that a technician's laptop needs."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support import ROOT

UNREACHABLE = (
    "No matching distribution found",
    "Could not find a version",
    "ConnectionError",
    "Max retries",
    "timed out",
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the base install and nothing else."""
    place = tmp_path_factory.mktemp("clean")
    venv.create(place / "venv", with_pip=True)
    programs = place / "venv" / "bin"
    source = copy_of_the_packages(place / "source")
    install = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", source]
    done = subprocess.run(install, capture_output=True, text=True, env=clean_environment(), timeout=500)
    if done.returncode and any(words in done.stderr for words in UNREACHABLE):
        pytest.skip(f"pip cannot reach a package index: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return programs


def copy_of_the_packages(place: Path) -> Path:
    """Building in place would leave its folders in the working tree."""
    for room in ("augment", "export", "edge_runtime"):
        shutil.copytree(ROOT / room, place / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, place / name)
    return place


def clean_environment() -> dict[str, str]:
    """Ours, less what would let the fresh environment see our packages."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=120,
        **options,  # type: ignore[call-overload]
    )


def test_it_holds_no_training_stack(clean, tmp_path):
    code = "import importlib.util as u; print([n for n in ('torch', 'onnx', 'PIL', 'transformers') if u.find_spec(n)])"
    assert run(clean / "python", "-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_help_is_there(clean, tmp_path):
    for command in ("edge-classify", "edge-station"):
        done = run(clean / command, "--help", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Usage: " + command in done.stdout


def test_it_classifies_an_image_and_a_video(clean, tmp_path):
    subprocess.run([sys.executable, "-m", "tests.support.colour_bundle", tmp_path / "bundle"], check=True, cwd=ROOT)
    red = np.full((48, 64, 3), (0, 0, 255), np.uint8)
    red[:, :32] //= 2
    cv2.imwrite(str(tmp_path / "red.jpg"), red)
    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(5):
        writer.write(red)
    writer.release()
    done = run(clean / "edge-classify", "--bundle", tmp_path / "bundle", "red.jpg", "red.avi", cwd=tmp_path)
    assert done.returncode == 10, done.stderr
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["rust", "rust"]
    assert run(clean / "edge-station", "check", "--bundle", tmp_path / "bundle").returncode == 0
