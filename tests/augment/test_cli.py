"""The command line as a user meets it: help at once, mistakes in the first second, one sentence, no traceback."""

import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from augment.presets import PRESETS
from augment.records import STAGES
from augment.settings import DataSettings, load_settings, write_settings
from tests.support import ROOT


def rarefault(*arguments):
    command = [sys.executable, "-m", "augment.cli", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def write_images(folder, **counts):
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            frame = np.random.default_rng([len(label), number]).integers(0, 256, (16, 16, 3), np.uint8)
            cv2.imwrite(str(folder / label / f"{number}.png"), frame)
    return folder


def test_help_names_every_stage_without_loading_a_model_library():
    probe = (
        "import sys, augment.cli; print(sorted(sys.modules.keys() & {'torch', 'transformers', 'diffusers', 'sklearn'}))"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    shown = rarefault("--help")
    assert shown.returncode == 0
    assert [stage.command for stage in STAGES if stage.command not in shown.stdout] == []


@pytest.mark.parametrize(
    ("counts", "faults", "sentence"),
    [
        ({}, [], "does not exist"),
        ({"leak": 3}, [], "one class only"),
        ({"leak": 3, "sound": 1}, [], "single image"),
        ({"leak": 3, "Leak": 3}, [], "differ in case only"),
        ({"leak": 3, "sound": 3}, ["Leak"], "differ in case; write 'leak'"),
        ({"leak": 3, "sound": 3}, ["leek"], "did you mean 'leak'"),
    ],
)
def test_a_bad_source_stops_init_with_a_sentence(counts, faults, sentence, tmp_path):
    data = write_images(tmp_path / "images", **counts)
    options = [word for fault in faults for word in ("--fault", fault)]
    started = time.monotonic()
    done = rarefault("init", tmp_path / "run", "--data", data, "--preset", "mini", *options)
    seconds = time.monotonic() - started
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
    assert seconds < 3  # one second on an idle machine


@pytest.mark.parametrize(
    ("preset", "written", "mistaken", "said"),
    [
        ("mini", "width = ", "widht = ", "train.widht is unknown; did you mean width?"),
        ("cpu", '"real+heal"', '"real+heal+gate"', "whose gate watches real+heal; name that arm too"),
    ],
)
def test_a_mistake_in_the_settings_stops_the_run_before_anything_is_loaded(tmp_path, preset, written, mistaken, said):
    data = write_images(tmp_path / "images", leak=3, sound=3)
    assert rarefault("init", tmp_path / "run", "--data", data, "--preset", preset, "--fault", "leak").returncode == 0
    pipeline = tmp_path / "run" / "pipeline.toml"
    pipeline.write_text(pipeline.read_text().replace(written, mistaken))
    done = rarefault("run", pipeline)
    assert done.returncode == 1
    assert said in done.stderr
    assert [path.name for path in pipeline.parent.iterdir()] == ["pipeline.toml"]


def test_init_never_overwrites_settings(tmp_path):
    data = write_images(tmp_path / "images", leak=3, sound=3)
    assert rarefault("init", tmp_path / "run", "--data", data, "--preset", "mini").returncode == 0
    done = rarefault("init", tmp_path / "run", "--data", data, "--preset", "sd21")
    assert done.returncode == 1
    assert "exists; edit it" in done.stderr


def test_a_stage_without_its_input_names_the_command_that_makes_it(tmp_path):
    data = write_images(tmp_path / "images", leak=3, sound=3)
    rarefault("init", tmp_path / "run", "--data", data, "--preset", "mini")
    done = rarefault("curate", tmp_path / "run" / "pipeline.toml")
    assert done.returncode == 1
    assert "rarefault generate" in done.stderr


def test_stages_in_the_wrong_order_are_wrong_usage(tmp_path):
    assert rarefault("run", tmp_path, "--from", "train", "--until", "caption").returncode == 2


BEFORE_TORCH = """
import sys
from pathlib import Path
from augment import pipeline

def settle(threads):
    print("torch" in sys.modules, threads)
    raise SystemExit

pipeline.settle_process = settle
pipeline.run_pipeline(Path(sys.argv[1]), ["dataset"])
"""


def test_threads_are_set_before_torch_is_loaded_which_reads_their_number_once(tmp_path):
    write_images(tmp_path / "images", leak=2, tank=2)
    data = DataSettings(source=str(tmp_path / "images"))
    write_settings(replace(PRESETS["mini"], data=data), tmp_path / "pipeline.toml")
    command = [sys.executable, "-c", BEFORE_TORCH, str(tmp_path / "pipeline.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stdout == "False 1\n", done.stderr


MANY_CLASSES = """
import numpy as np
from augment.engines.settle import settle_process

settle_process(threads=1)
from augment.evaluation.label_check import embedding_classifier

rows = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
embedding_classifier(rows, np.arange(8) % 5)
"""


def test_many_classes_of_few_images_each_bring_no_warning(tmp_path):
    command = [sys.executable, "-c", MANY_CLASSES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def boxed_images(tmp_path):
    """Write pictures of two kinds of equipment, and a folder of YOLO files for one of them."""
    data = write_images(tmp_path / "images", tank=3, tank_leak=3, line=3, line_break=3)
    boxes = tmp_path / "boxes" / "tank_leak"
    boxes.mkdir(parents=True)
    (boxes / "0.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    return data


def test_init_writes_groups_and_boxes_as_the_settings_spell_them(tmp_path):
    data = boxed_images(tmp_path)
    faults = ["--fault", "tank_leak", "--fault", "line_break"]
    groups = ["--group", "tank=tank,tank_leak", "--group", "line=line, line_break"]
    run = ["init", tmp_path / "run", "--data", data, "--preset", "cpu", *faults, *groups]
    done = rarefault(*run, "--boxes", tmp_path / "boxes")
    assert (done.returncode, done.stderr) == (0, "")
    section = load_settings(tmp_path / "run").data
    assert section.groups == {"tank": ("tank", "tank_leak"), "line": ("line", "line_break")}
    assert section.boxes == str(tmp_path / "boxes")


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--group", "tank", "expected NAME=LABEL,LABEL"),
        ("--group", "tank=", "expected NAME=LABEL,LABEL"),
        ("--group", "tank=tank,leek", "data.groups.tank needs a name and exactly one label that is no fault"),
        ("--group", "tank=tink,tank_leak", "did you mean 'tank'"),
        ("--boxes", "nowhere", "data.boxes is nowhere, expected a folder"),
    ],
)
def test_mistaken_groups_and_boxes_stop_init_with_a_sentence(option, value, sentence, tmp_path):
    data = boxed_images(tmp_path)
    run = ["init", tmp_path / "run", "--data", data, "--preset", "cpu", "--fault", "tank_leak"]
    done = rarefault(*run, option, value)
    assert done.returncode in (1, 2)
    assert sentence in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


def test_a_group_given_twice_is_wrong_usage(tmp_path):
    run = ["init", tmp_path / "run", "--data", tmp_path, "--group", "tank=a,b", "--group", "tank=c,d"]
    done = rarefault(*run)
    assert done.returncode == 2
    assert "names tank twice" in done.stderr
