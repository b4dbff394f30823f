import csv
import json
import re
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

pytest.importorskip("starlette", reason="the page needs the extra `central`")

from augment.cli import main
from augment.data.sources import list_candidates
from augment.labelling.commands import default_manifest
from augment.settings import DataSettings
from edge_runtime.labelling.journal import CANNOT_TELL, LABEL, Answer, Journal
from tests.support.interrupts import HEARING_INTERRUPTS
from tests.support.spotted_pictures import write_picture, write_yard


@pytest.fixture
def yard(tmp_path):
    return write_yard(tmp_path / "yard")


def label(*arguments: object):
    return CliRunner().invoke(main, ["label", *map(str, arguments)], catch_exceptions=False)


def test_answers_become_a_manifest_beside_the_data_with_boxes_in_both_formats(yard):
    with Journal(yard.parent / "yard-labels.jsonl") as journal:
        journal.give([Answer("pole_fine/fine_000.png", LABEL, "pole_hot", ((1, 2, 30, 40),), 320, 160)], "anna")
        journal.give([Answer("pole_hot/hot_010.png", CANNOT_TELL)], "anna")
    done = label(yard, "--fault", "pole_hot", "--write-only", "--export", "coco", "--export", "yolo")
    assert done.exit_code == 0, done.output
    assert "8 pictures, 1 of them answered by a person, 1 cannot tell" in done.output
    manifest = yard.parent / "yard-labels.csv"
    rows = {row["path"]: row for row in csv.DictReader(manifest.read_text().splitlines())}
    assert rows["yard/pole_fine/fine_000.png"]["label"] == "pole_hot"
    assert rows["yard/pole_fine/fine_000.png"]["who"] == "anna"
    assert rows["yard/pole_fine/fine_010.png"]["when"] == ""
    assert "yard/pole_hot/hot_010.png" not in rows
    assert len(list_candidates(DataSettings(source=str(manifest))).candidates) == 8
    assert len(json.loads((yard.parent / "yard-labels.coco.json").read_text())["annotations"]) == 1
    assert (yard.parent / "yard-labels.yolo" / "pole_fine" / "fine_000.txt").read_text().startswith("1 ")
    assert {path.suffix for path in yard.rglob("*") if path.is_file()} == {".png"}


def test_labelling_goes_on_from_the_manifest_that_it_wrote(yard):
    label(yard, "--write-only")
    manifest = yard.parent / "yard-labels.csv"
    assert default_manifest(str(manifest), yard.parent) == manifest
    done = label(manifest, "--write-only")
    assert done.exit_code == 0, done.output
    assert "9 pictures" in done.output


def test_a_folder_without_labels_needs_their_names(tmp_path):
    write_picture(tmp_path / "new" / "a.png", spot=True, shade=1)
    assert "--label rust" in label(tmp_path / "new", "--write-only").output
    done = label(tmp_path / "new", "--label", "rust", "--fault", "rust", "--write-only")
    assert "0 pictures, 0 of them answered by a person, 1 unlabelled" in done.output
    assert "none of the labels rust" in label(tmp_path / "new", "--label", "rust", "--fault", "ruts").output


def test_the_command_opens_its_page_and_writes_the_results_when_it_is_ended(yard):
    command = [*HEARING_INTERRUPTS, sys.executable, "-m", "augment.cli", "label", str(yard), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert any(re.search(r"http://127\.0\.0\.1:\d+/enter/", line) for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert "yard-labels.csv written: 9 pictures" in said
