"""Runs at once: all are there at the end, and one that fails ends the others."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.distributed import side_by_side
from augment.distributed.side_by_side import LOG, run_side_by_side
from augment.presets import PRESETS
from augment.records import DATASET, RunFolder
from augment.settings import DataSettings, write_settings
from edge_runtime.bundle.errors import UnavailableError
from tests.support.interrupts import HEARING_INTERRUPTS
from tests.support.rendered_run import prepare
from tests.support.sample_events import wait_until

# Stands for a run: notes what it was given and how many are at work, and ends when so many have begun.
MEETING = """
import os, pathlib, sys, time
folder, others = pathlib.Path(sys.argv[1]).parent, int(os.environ["OTHERS"])
(folder / "begun").touch()
def seen(what):
    return len(list(folder.parent.glob("*/" + what)))
until = time.monotonic() + 60
while seen("begun") < others and time.monotonic() < until:
    time.sleep(0.02)
ended = seen("ended")
at_work = seen("begun") - ended
(folder / "told").write_text(f"{os.environ.get('OMP_NUM_THREADS')} {os.environ['CUDA_VISIBLE_DEVICES']} {at_work}")
(folder / "ended").touch()
sys.exit(time.monotonic() >= until)
"""
WAITING = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).with_name("begun").write_text(str(os.getpid()))
time.sleep(300)
"""
INTERRUPTED = """
import sys
from pathlib import Path
from augment.distributed import side_by_side
code, *pipelines = sys.argv[1:]
side_by_side._command = lambda pipeline, until: [sys.executable, "-c", code, str(pipeline)]
side_by_side.run_side_by_side([Path(one) for one in pipelines], "dataset", 2)
"""


def pipelines_in(folder, count, model="mini"):
    """Return so many pipelines with nothing but settings, whose painter is `model`."""
    preset = PRESETS["mini"]
    settings = replace(preset, data=DataSettings(source="x"), generate=replace(preset.generate, model=model))
    pipelines = [folder / "runs" / str(number) / "pipeline.toml" for number in range(count)]
    for pipeline in pipelines:
        pipeline.parent.mkdir(parents=True)
        write_settings(settings, pipeline)
    return pipelines


def stands_for_runs(monkeypatch, tmp_path, code, count, model="mini"):
    """Let `code` be what a run does, and return so many pipelines whose painter is `model`."""
    monkeypatch.setattr(side_by_side, "_command", lambda pipeline, until: [sys.executable, "-c", code, str(pipeline)])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return pipelines_in(tmp_path, count, model)


def test_real_runs_end_with_their_documents(tmp_path, capfd):
    pipelines = [prepare(tmp_path / name, tmp_path / "images") for name in ("a", "b")]
    run_side_by_side(pipelines, DATASET.command, 2)
    first, second = (RunFolder(pipeline.parent).require(DATASET) for pipeline in pipelines)
    assert first.records == second.records
    assert all("images of 4 classes" in (pipeline.parent / LOG).read_text() for pipeline in pipelines)
    assert "images of 4 classes" not in capfd.readouterr().out


@pytest.mark.parametrize(("model", "threads"), [("sd", "3"), ("mini", "None")])
def test_as_many_as_asked_for_run_at_once_each_with_its_share(tmp_path, monkeypatch, model, threads):
    pipelines = stands_for_runs(monkeypatch, tmp_path, MEETING, 4, model)
    monkeypatch.setenv("OTHERS", "2")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    run_side_by_side(pipelines, DATASET.command, 2, ["3", "5"])
    told = [(pipeline.parent / "told").read_text().split() for pipeline in pipelines]
    assert {line[0] for line in told} == {threads}
    assert {line[1] for line in told} == {"3", "5"}
    assert max(int(line[2]) for line in told) == 2


def test_no_more_shares_are_cut_than_there_are_runs(tmp_path, monkeypatch):
    pipelines = stands_for_runs(monkeypatch, tmp_path, MEETING, 2, "sd")
    monkeypatch.setenv("OTHERS", "2")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    run_side_by_side(pipelines, DATASET.command, 6, ["0"])
    assert {(pipeline.parent / "told").read_text()[0] for pipeline in pipelines} == {"3"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_that_is_told_to_end_ends_its_runs(tmp_path, number):
    pipelines = pipelines_in(tmp_path, 3)
    command = [*HEARING_INTERRUPTS, sys.executable, "-c", INTERRUPTED, WAITING, *map(str, pipelines)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        begun = [pipeline.parent / "begun" for pipeline in pipelines]
        wait_until(lambda: all(path.exists() and path.read_text() for path in begun[:2]))
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert not any(psutil.pid_exists(int(path.read_text())) for path in begun[:2])
    assert not begun[2].exists()


def test_one_that_fails_is_told_with_its_last_lines_and_ends_the_others(tmp_path, monkeypatch):
    code = """
import pathlib, sys, time
if pathlib.Path(sys.argv[1]).parent.name == "1":
    print("the lens is dirty", file=sys.stderr)
    sys.exit(1)
time.sleep(300)
"""
    pipelines = stands_for_runs(monkeypatch, tmp_path, code, 3)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"(?s)ended with the code 1 .*the lens is dirty"):
        run_side_by_side(pipelines, DATASET.command, 2)
    assert time.monotonic() - began < 60


def test_more_jobs_than_cores_are_refused_before_anything_is_written(tmp_path):
    jobs = (os.cpu_count() or 1) + 1
    done = CliRunner().invoke(main, ["benchmark", "scenes", "--out", str(tmp_path / "out"), "--jobs", str(jobs)])
    assert done.exit_code == 1
    assert f"--jobs {jobs} asks for as many logical CPUs" in done.output
    assert not (tmp_path / "out").exists()


def test_the_command_hands_all_runs_over(tmp_path, monkeypatch):
    asked = []

    def hand_over(pipelines, until, jobs, gpus):
        asked.append((len(pipelines), until, jobs, gpus))
        raise UnavailableError("seen enough")

    monkeypatch.setattr(side_by_side, "run_side_by_side", hand_over)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    prepare(tmp_path / "a", tmp_path / "images")
    command = ["benchmark", "images", "--data", str(tmp_path / "images"), "--preset", "cpu", "--draws", "1"]
    done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "out"), "--jobs", "2"])
    assert "seen enough" in done.output
    assert asked == [(5, "compare", 2, ["4", "6"])]
