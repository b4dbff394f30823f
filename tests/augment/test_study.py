"""Pooling of runs: draws are stacked, folds joined, and what does not belong together is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from augment.json_objects import as_plain
from augment.records import COMPARISON, STAGES, RunFolder
from augment.settings import DataSettings, load_settings, write_settings
from augment.stages import compare, train
from augment.study import BASELINE, Ask, Plan, pool, prepare
from edge_runtime.bundle.errors import InputError
from tests.support.drawn_run import tiny_run

ARMS = ("real", BASELINE)


def finished_run(folder, seed):
    settings, run = tiny_run(folder)
    settings = replace(
        settings,
        seed=seed,
        train=replace(settings.train, arms=ARMS, seeds=1, steps=4),
        compare=replace(settings.compare, baseline="real", candidate=BASELINE),
        export=replace(settings.export, arm="real"),
    )
    train.run(settings, run)
    compare.run(settings, run)
    write_settings(settings, run.path / "pipeline.toml")
    return run.path / "pipeline.toml"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("draws")
    return root, [finished_run(root / f"draw-{seed}", seed) for seed in (0, 1)]


def test_draws_are_stacked_over_the_same_test_images(runs):
    root, (first, second) = runs
    summary = pool(Plan(root, [[first], [second]]))
    results = json.loads((root / "results.json").read_bytes())
    assert results | as_plain(summary) == results
    assert (results["draws"], results["arms"]["real"]["seeds"]) == (2, 2)
    for arm in ARMS:
        single = [
            RunFolder(pipeline.parent).require(COMPARISON).summary.arms[arm].metrics["macro_f1"].value
            for pipeline in (first, second)
        ]
        found = results["arms"][arm]["metrics"]["macro_f1"]
        assert found["per_seed"] == pytest.approx(single)
        assert found["value"] == pytest.approx(np.mean(single))
    assert set(results["differences"]) == {BASELINE}


def test_folds_that_tested_the_same_image_are_refused(runs):
    root, (first, second) = runs
    with pytest.raises(InputError, match="tested the same image"):
        pool(Plan(root, [[first, second]]))


def test_an_arm_to_compare_that_no_run_has_is_told_with_what_to_do(runs):
    root, (first, second) = runs
    with pytest.raises(InputError, match=r"arm combined of .* was not trained; mend that"):
        pool(Plan(root, [[first], [second]]), "combined")


def test_folds_are_joined(runs, tmp_path):
    """Halves of one comparison, as two folds, give the whole."""
    root, (first, second) = runs
    whole = pool(Plan(root, [[first], [second]]))
    plan = Plan(tmp_path, [halves(first, tmp_path / "0"), halves(second, tmp_path / "1")])
    joined = pool(plan)
    assert json.loads((tmp_path / "results.json").read_bytes())["folds"] == 2
    assert joined.arms == whole.arms


def halves(pipeline, target):
    """Two copies of a run, each with every other test image."""
    from safetensors.numpy import load_file, save_file

    source, made = RunFolder(pipeline.parent), []
    for part in (0, 1):
        copy = RunFolder(target / str(part))
        copy.path.mkdir(parents=True)
        for stage in STAGES[: STAGES.index(COMPARISON)]:
            copy.write(source.require(stage))
        document = source.require(COMPARISON)
        copy.write(replace(document, records=document.records[part::2]))
        for arm in ARMS:
            path = copy.path / "comparison/logits" / arm / "seed-0.safetensors"
            path.parent.mkdir(parents=True)
            logits = load_file(source.path / "comparison/logits" / arm / "seed-0.safetensors")["logits"]
            save_file({"logits": np.ascontiguousarray(logits[part::2])}, path)
            predictions = Path("training") / arm / "seed-0/predictions.json"
            (copy.path / predictions).parent.mkdir(parents=True)
            (copy.path / predictions).write_bytes((source.path / predictions).read_bytes())
        write_settings(load_settings(pipeline), copy.path / "pipeline.toml")
        made.append(copy.path / "pipeline.toml")
    return made


def test_photographs_need_their_folder_and_get_a_run_per_draw_and_fold(tmp_path):
    with pytest.raises(InputError, match="needs --data"):
        prepare("images", tmp_path, 1, Ask())
    images = tmp_path / "images"
    for label in ("tank_ok", "tank_burnt"):
        (images / label).mkdir(parents=True)
        for number in range(6):
            (images / label / f"{number}.jpg").write_bytes(b"not looked at yet")
    data = DataSettings(source=str(images), faults=("tank_burnt",))
    plan = prepare("images", tmp_path / "out", 2, Ask(data))
    settings = [load_settings(pipeline) for pipeline in plan.pipelines]
    assert [(each.seed, each.data.fold) for each in settings] == [(draw, fold) for draw in (0, 1) for fold in range(5)]
    assert {each.data.folds for each in settings} == {5}
    assert prepare("images", tmp_path / "out", 2, Ask(data)) == plan
    with pytest.raises(InputError, match="is no run of this benchmark"):
        prepare("images", tmp_path / "out", 2, Ask(replace(data, faults=())))


def test_a_study_of_spots_has_the_class_head_beside_the_spatial_one_and_its_folds_by_the_split(tmp_path):
    images = tmp_path / "images"
    for label in ("tank_ok", "tank_burnt"):
        (images / label).mkdir(parents=True)
        for number in range(6):
            (images / label / f"{number}.jpg").write_bytes(b"not looked at yet")
    data = DataSettings(source=str(images), faults=("tank_burnt",), groups={"tank": ("tank_ok", "tank_burnt")})
    plan = prepare("spots", tmp_path / "blocks", 1, Ask(data, split="blocks"))
    settings = [load_settings(pipeline) for pipeline in plan.pipelines]
    assert [each.data.fold for each in settings] == list(range(5))
    assert {(each.data.blocks, each.train.cross_fit, each.train.head) for each in settings} == {(12, 5, "spatial")}
    assert settings[0].train.arms == ("real+classic", "real")
    (pipeline, *_) = prepare("spots", tmp_path / "random", 1, Ask(data, split="random")).pipelines
    assert (load_settings(pipeline).data.burst_gap, load_settings(pipeline).data.duplicate_bits) == (0, 0)
    (images / "tank_burnt" / "0.txt").write_text("0 0.5 0.5 0.1 0.1")
    (pipeline, *_) = prepare("spots", tmp_path / "boxed", 1, Ask(replace(data, boxes=str(images)))).pipelines
    assert load_settings(pipeline).train.arms == ("real+classic", "real", "real+heal")
