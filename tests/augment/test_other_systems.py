"""The central commands without what only POSIX has, on a set so small and odd that much of a run has nothing to do.

The libraries are loaded first and then lose what Windows does not have: they have code of their own for other systems,
and ours must need none.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from augment.presets import PRESETS
from augment.records import COMPARISON, CURATION, DATASET, EXPORT, TRAINING, RunFolder
from augment.settings import DataSettings, load_settings, write_settings
from tests.support.rendered_run import ONE_THREAD

WITHOUT_POSIX = """
import os, shutil, signal, subprocess, sys, types
import cv2, diffusers, imagehash, jinja2, matplotlib.pyplot, onnx, onnxruntime, onnxscript, scipy, seaborn
import sklearn.linear_model, statsmodels, torch, torchvision, transformers
# These load parts of the libraries when they are imported.
import augment.models.blip, augment.models.gpt2, augment.models.stable_diffusion, augment.training.lora

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource", "pwd", "grp", "termios"}:
            raise ImportError(f"no module {name} on this system")

sys.meta_path.insert(0, Missing())
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *_: None)  # what Windows has instead
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
for name in (
    "fork sched_getaffinity mkfifo getuid geteuid getpgid killpg setsid chown fchmod fdatasync posix_fadvise pread "
    "sendfile eventfd getloadavg kill O_DIRECTORY O_NOFOLLOW O_CLOEXEC O_NONBLOCK"
).split():
    delattr(os, name)
for name in "SIGHUP SIGKILL SIGUSR1 SIGALRM SIGPIPE alarm pause setitimer".split():
    delattr(signal, name)
really_open = os.open

def open_file(path, *rest, **named):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied")  # Windows opens no folder
    return really_open(path, *rest, **named)

os.open = open_file
shutil._use_fd_functions = False  # so removes shutil a folder on Windows
from augment.cli import main
for words in sys.argv[1].splitlines():
    print("$", words, flush=True)
    try:
        main(words.split(), standalone_mode=True)
    except SystemExit as done:
        print("exit", done.code or 0, flush=True)
"""


def photographs(root: Path, **counts: int) -> Path:
    """Noise of 64 x 56 pixels, which no generator paints; faults have a bright spot, and a file with its box."""
    for place, (label, count) in enumerate(counts.items()):
        (root / label).mkdir(parents=True)
        for at in range(count):
            frame = cv2.resize(np.random.default_rng([place, at]).integers(0, 160, (14, 16, 3), np.uint8), (64, 56))
            name = root / label / f"{label}{at}0"
            if label == "leak":
                frame[20:34, 24:40] = 255
                name.with_suffix(".txt").write_text("0 0.5 0.482 0.25 0.25\n")
            cv2.imwrite(str(name.with_suffix(".png")), frame)
    return root


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> tuple[Path, str]:
    """A run of which nothing generated is left, whose candidate therefore cannot be trained, and what it printed."""
    root = tmp_path_factory.mktemp("other-systems")
    images = photographs(root / "images", leak=8, sound=12, rust=2)
    run, preset = root / "run", PRESETS["mini"]
    settings = replace(
        preset,
        data=DataSettings(source=str(images), faults=("leak",)),
        caption=replace(preset.caption, per_class=1),
        refine=replace(preset.refine, variants=1, attempts=1, rounds=1),
        adapt=replace(preset.adapt, steps=1, evaluate_every=1, look_images=8, batch_size=2),
        generate=replace(
            preset.generate, methods=("text2img", "adapted-text2img", "heal"), target=2, floor=1, steps=2, rounds=1
        ),
        curate=replace(preset.curate, ceiling=0.0),
        train=replace(
            preset.train, arms=("real", "text2img", "real+text2img", "real+text2img+gate"), width=8, size=32, steps=4,
            evaluate_every=2, seeds=1, batch_size=8,
        ),
        compare=replace(preset.compare, candidate="text2img", resamples=200),
        export=replace(preset.export, arm="text2img"),
    )  # fmt: skip
    write_settings(settings, root / "settings.toml")
    commands = [
        f"init {run} --data {images} --preset mini --fault leak",
        f"doctor {images} --fault leak",
        f"run {root / 'small'}",
        f"report {root / 'small'}",
        f"doctor {root / 'small'}",
    ]
    (root / "small").mkdir()
    write_settings(settings, root / "small" / "pipeline.toml")
    command = [sys.executable, "-c", WITHOUT_POSIX, "\n".join(commands)]
    env = {**ONE_THREAD, "LOGNAME": "somebody"}  # or torch asks the module pwd, which it does not need on Windows
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return root, done.stdout


def test_every_command_ends_as_it_should_without_posix(ended):
    _, printed = ended
    assert [line for line in printed.splitlines() if line.startswith("exit")] == [
        "exit 0",
        "exit 3",
        "exit 0",
        "exit 0",
        "exit 3",
    ]
    assert load_settings(ended[0] / "run").data.faults == ("leak",)


def test_a_run_of_which_nothing_generated_is_left_ends_with_a_bundle_a_report_and_a_verdict(ended):
    folder = RunFolder(ended[0] / "small")
    assert folder.require(CURATION).summary.kept_per_class.keys() <= {
        "sound"
    }  # healed pictures, which no limit touches
    assert (folder.path / "bundle" / "manifest.json").is_file()
    comparison, exported = folder.require(COMPARISON).summary, folder.require(EXPORT).summary
    assert comparison.verdict == "INCONCLUSIVE"
    assert comparison.why == "arm text2img has no image to learn from, so it is left out"
    assert exported.training.startswith("real")
    page = (folder.path / "report" / "index.html").read_text()
    assert "Less was compared than the settings ask for: arm text2img has no image to learn from" in page


def test_what_each_arm_lacked_is_in_the_document(ended):
    training = RunFolder(ended[0] / "small").require(TRAINING)
    assert {record.arm for record in training.records} >= {"real", "real+text2img"}
    assert training.summary.notes["real+text2img"] == (
        "has no generated image that was kept, so it learns from real images alone"
    )


def test_a_class_of_two_images_is_told_and_stops_nothing(ended):
    hints = RunFolder(ended[0] / "small").require(DATASET).summary.hints
    assert any(hint.startswith("class rust has no validation image") for hint in hints)
