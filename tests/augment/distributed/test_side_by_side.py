"""Runs at once: all are there at the end, and one that fails ends the others."""

import os
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.distributed import side_by_side
from augment.distributed.side_by_side import LOG, check_jobs, run_side_by_side
from augment.records import DATASET, RunFolder
from edge_runtime.bundle.errors import UnavailableError
from tests.support.rendered_run import prepare

# Stands for a run: notes that it has begun and what it was given, and ends when so many others have begun.
MEETING = """
import os, pathlib, sys, time
folder, others = pathlib.Path(sys.argv[1]).parent, int(os.environ["OTHERS"])
(folder / "begun").write_text(os.environ["OMP_NUM_THREADS"] + " " + os.environ.get("CUDA_VISIBLE_DEVICES", "-"))
until = time.monotonic() + 60
while len(list(folder.parent.glob("*/begun"))) < others and time.monotonic() < until:
    time.sleep(0.02)
sys.exit(time.monotonic() >= until)
"""


def stands_for_runs(monkeypatch, tmp_path, code, count):
    """Let `code` be what a run does, and return so many pipelines."""
    monkeypatch.setattr(side_by_side, "_command", lambda pipeline, until: [sys.executable, "-c", code, str(pipeline)])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    pipelines = [tmp_path / "runs" / str(number) / "pipeline.toml" for number in range(count)]
    for pipeline in pipelines:
        pipeline.parent.mkdir(parents=True)
    return pipelines


def test_real_runs_end_with_their_documents(tmp_path, capfd):
    pipelines = [prepare(tmp_path / name, tmp_path / "images") for name in ("a", "b")]
    run_side_by_side(pipelines, DATASET.command, 2)
    first, second = (RunFolder(pipeline.parent).require(DATASET) for pipeline in pipelines)
    assert first.records == second.records
    assert all("images of 4 classes" in (pipeline.parent / LOG).read_text() for pipeline in pipelines)
    assert "images of 4 classes" not in capfd.readouterr().out


def test_as_many_as_asked_for_run_at_once_each_with_its_share(tmp_path, monkeypatch):
    pipelines = stands_for_runs(monkeypatch, tmp_path, MEETING, 4)
    monkeypatch.setenv("OTHERS", "2")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    run_side_by_side(pipelines, DATASET.command, 2, ["3", "5"])
    told = [(pipeline.parent / "begun").read_text() for pipeline in pipelines]
    assert {line.split()[0] for line in told} == {"3"}
    assert {line.split()[1] for line in told} == {"3", "5"}


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
    assert threading.active_count() < 20


def test_more_jobs_than_cores_are_refused():
    with pytest.raises(UnavailableError, match="asks for as many logical CPUs"):
        check_jobs((os.cpu_count() or 1) + 1)


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
