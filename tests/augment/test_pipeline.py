"""The whole loop as a user runs it: `rarefault run`, killed and resumed, then `edge-classify` on its bundle."""

import json
import shutil
import subprocess
import sys

import pytest

from augment.records import COMPARISON, DATASET, STAGES, TRAINING, RunFolder
from tests.support import rendered_run

KILL_AFTER = (7.0, 9.0, 12.0)  # seconds; start-up takes about five


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    root = tmp_path_factory.mktemp("whole")
    printed = rendered_run.finish(rendered_run.prepare(root / "run", root / "images"))
    return root, printed


def test_every_stage_says_what_it_did(whole):
    _, printed = whole
    for name in ("dataset", "caption", "refine", "adapt", "generate", "curate", "train", "compare", "export", "report"):
        assert f"\n{name}" in f"\n{printed}"


def test_every_document_names_the_digest_of_its_input(whole):
    folder = RunFolder(whole[0] / "run")
    chain = [folder.latest(stage) for stage in STAGES]
    assert [document.inputs.parent for document in chain[1:]] == [document.digest for document in chain[:-1]]


def test_a_second_run_makes_nothing_new(whole):
    root, _ = whole
    before = rendered_run.results(root / "run")
    rendered_run.finish(root / "run" / "pipeline.toml")
    assert rendered_run.results(root / "run") == before


def test_a_run_killed_again_and_again_ends_like_one_that_was_not(whole, tmp_path):
    root, _ = whole
    pipeline = rendered_run.prepare(tmp_path / "run", root / "images")
    killed = [rendered_run.run_and_kill(pipeline, seconds) for seconds in KILL_AFTER]
    assert any(killed), "the run was done before the first kill; shorten KILL_AFTER"
    rendered_run.finish(pipeline)
    expected, seen = rendered_run.results(root / "run"), rendered_run.results(tmp_path / "run")
    assert seen.keys() == expected.keys()
    assert [name for name in expected if seen[name] != expected[name]] == []


def test_generated_images_name_what_they_were_made_from_and_no_held_out_image_is_among_it(whole):
    root, _ = whole
    run = root / "run"
    dataset = json.loads((run / "dataset" / "v0001.json").read_bytes())
    split = {record["id"]: record["split"] for record in dataset["records"]}
    synthetic = json.loads(sorted((run / "synthetic").glob("v*.json"))[-1].read_bytes())
    assert synthetic["records"]
    assert {split[record["source"]] for record in synthetic["records"]} == {"train"}
    captions = json.loads((run / "captions" / "v0001.json").read_bytes())
    assert {split[record["id"]] for record in captions["records"]} == {"train"}


def test_test_images_are_opened_by_the_first_stage_and_by_compare_alone(whole, tmp_path):
    """Without their files every stage between the two ends as it did with them."""
    root, _ = whole
    images = tmp_path / "images"
    shutil.copytree(root / "images", images)
    rendered_run.prepare(tmp_path / "run", images)
    shutil.copytree(root / "run" / "dataset", tmp_path / "run" / "dataset")
    shutil.copytree(root / "run" / "cache", tmp_path / "run" / "cache")
    records = RunFolder(root / "run").require(DATASET).records
    for record in records:
        if record.split == "test":
            (images / record.path).unlink()
    command = [*rendered_run.command(tmp_path / "run" / "pipeline.toml"), "--from", "caption"]
    done = subprocess.run(command, env=rendered_run.ONE_THREAD, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "\ntrain " in done.stdout
    assert "\ncompare " not in done.stdout
    assert "does not exist" in done.stderr or "no such file" in done.stderr.lower()
    expected, seen = (RunFolder(folder).latest(TRAINING) for folder in (root / "run", tmp_path / "run"))
    assert [r.sha256 for r in seen.records] == [r.sha256 for r in expected.records]


def test_strict_leaves_with_the_verdict(whole):
    pipeline = whole[0] / "run" / "pipeline.toml"
    verdict = RunFolder(pipeline.parent).require(COMPARISON).summary.verdict
    command = [sys.executable, "-m", "augment.cli", "compare", str(pipeline)]
    plain, strict = (
        subprocess.run([*command, *flag], env=rendered_run.ONE_THREAD, capture_output=True, check=False).returncode
        for flag in ([], ["--strict"])
    )
    assert (plain, strict) == (0, {"PASS": 0, "FAIL": 20, "INCONCLUSIVE": 21}[verdict])


def test_edge_classify_answers_for_every_image_of_the_run(whole):
    root, _ = whole
    command = [
        sys.executable,
        "-m",
        "edge_runtime.classify",
        "--bundle",
        str(root / "run" / "bundle"),
        str(root / "images"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode in (0, 10), done.stderr
    assert len(lines) == 40
    assert {line["status"] for line in lines} == {"ok"}
