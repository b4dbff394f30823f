"""What can be known of the images where no container engine runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

from tests.support import ROOT

FILES = [ROOT / "Dockerfile.gpu", ROOT / "Dockerfile.jetson"]
LOCKS = ("jetpack6", "jetpack7")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path):
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([program, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def copied(path: Path) -> list[str]:
    """What a Dockerfile copies from the build context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.MULTILINE)
    names = [name for line in lines for name in line.split()[:-1]]
    return [name.replace("${LOCK}", lock) for name in names for lock in (LOCKS if "${LOCK}" in name else ("",))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_everything_that_is_copied_is_there_and_not_ignored(path):
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert len(copied(path)) >= 6
    for name in copied(path):
        assert (ROOT / name).exists(), name
        assert name.split("/")[0] not in ignored


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_last_stage_runs_a_command_of_ours_as_nobody_in_particular(path):
    stage = path.read_text().rpartition("\nFROM ")[2]
    users, entry = re.findall(r"^USER (\w+)$", stage, re.MULTILINE), re.findall(r'^ENTRYPOINT \["([^"]+)"', stage, re.M)
    assert users
    assert users[-1] != "root"
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert entry
    assert entry[0] in scripts


def test_the_central_image_installs_what_the_demo_installs():
    locks = re.findall(r"-r (requirements/central\.lock)", (ROOT / "Dockerfile.gpu").read_text())
    assert locks == re.findall(r"-r (requirements/central\.lock)", (ROOT / "Makefile").read_text())[:1]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_device_gets_the_base_install_and_no_training_stack(lock):
    def names(text: str) -> set[str]:
        return {
            re.split(r"[=<>\[]", line)[0].strip().lower() for line in text.splitlines() if line[:1] not in ("#", "")
        }

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = names((ROOT / "requirements" / f"{lock}.lock").read_text())
    assert names("\n".join(project["dependencies"])) <= pinned
    assert not pinned & {"torch", "torchvision", "onnx", "transformers", "diffusers"}
