import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from augment.engines.local import LocalEngine
from augment.engines.ray_engine import RayEngine
from augment.json_objects import from_json
from augment.record_types import DatasetRecord
from augment.records import CURATION, DATASET, TRAINING, RunFolder
from augment.settings import Settings
from augment.stages import train
from augment.training.arms import parse_arm
from augment.training.finetune import predict
from augment.training.predictions import read_predictions
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import head_from_json
from edge_runtime.bundle.preprocess import PreprocessSpec
from export.checkpoint import load_checkpoint
from export.network import build_network
from tests.support.drawn_run import COUNTS, GENERATED, LABELS, Killed, short, tiny_run, training_files
from tests.support.scripted_gate import ScriptedGate


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Settings, RunFolder]:
    settings, folder = tiny_run(tmp_path_factory.mktemp("trained"))
    train.run(settings, folder)
    return settings, folder


def test_each_arm_learns_from_its_own_images_with_equal_steps(trained):
    _, folder = trained
    records = {record.id: record for record in folder.require(TRAINING).records}
    assert list(records) == [f"{arm}/seed-{seed}" for arm in ("real", "synthetic", "combined") for seed in (0, 1)]
    assert {record.steps for record in records.values()} == {6}
    real, generated = dict(zip(LABELS, COUNTS["train"], strict=True)), dict(zip(LABELS, GENERATED, strict=True))
    none = dict.fromkeys(LABELS, 0)
    assert records["real/seed-0"].images == {"real": real, "synthetic": none}
    assert records["synthetic/seed-0"].images == {"real": none, "synthetic": generated}
    assert records["combined/seed-1"].images == {"real": real, "synthetic": generated}


def test_the_document_names_labels_faults_input_and_initial_weights(trained):
    _, folder = trained
    document = folder.require(TRAINING)
    assert document.summary.labels == list(LABELS)
    assert document.summary.fault_labels == ["breaker_burnt"]
    assert document.summary.input == PreprocessSpec(32, 32).to_json()
    assert document.summary.head is None
    assert document.inputs.models == {"initial_weights": {"source": "none", "classifier": "fresh"}}
    assert document.inputs.parent == folder.require(CURATION).digest
    assert "best on validation" in train.summary_line(document)


def test_trainings_that_ray_does_at_the_same_time_leave_the_files_of_the_serial_run(trained, tmp_path, capsys):
    settings, run = tiny_run(tmp_path)
    engine = RayEngine(2)
    try:
        document = train.run(settings, run, engine=engine)
    finally:
        engine.close()
    assert document.digest == trained[1].require(TRAINING).digest
    assert training_files(run) == training_files(trained[1])
    assert "6 of 6 steps" not in capsys.readouterr().err  # nothing was left to do here


def test_an_arm_that_fails_with_an_engine_is_left_out_as_without(tmp_path):
    settings, run = tiny_run(tmp_path)
    wild = {"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 10.0, "warmup": 0.0, "steps": 40}
    settings = short(settings, **wild, evaluate_every=40)
    with pytest.raises(InputError, match=r"diverged.*lower train.learning_rate"):
        train.run(settings, run, engine=LocalEngine())


def test_a_checkpoint_gives_the_predictions_that_lie_beside_it(trained):
    _, folder = trained
    place = folder.path / "training" / "real" / "seed-0"
    network, card = load_checkpoint(place)
    kept = json.loads((place / "predictions.json").read_bytes())
    frames = np.load(next((folder.path / "training").glob("frames-*.npy")), allow_pickle=False)
    rows = slice(sum(COUNTS["train"]), sum(COUNTS["train"]) + sum(COUNTS["val"]))
    logits = predict(network, frames[rows], "cpu")
    assert np.allclose(logits, [image["logits"] for image in kept["images"]], atol=1e-4)
    right = np.mean([LABELS[row.argmax()] == image["label"] for row, image in zip(logits, kept["images"], strict=True)])
    assert card["training"]["validation"]["accuracy"] == pytest.approx(right)
    best = max(json.loads((place / "history.json").read_bytes()), key=lambda look: look["validation"]["macro_f1"])
    assert card["training"]["validation"]["macro_f1"] == best["validation"]["macro_f1"]


def test_no_test_image_is_opened_or_cached(trained, tmp_path):
    settings, folder = tiny_run(tmp_path)
    for path in Path(settings.data.source).rglob("test-*.png"):
        path.unlink()
    train.run(short(settings, steps=1), folder)
    cached = np.load(next((folder.path / "training").glob("frames-*.npy")), mmap_mode="r", allow_pickle=False)
    assert len(cached) == sum(COUNTS["train"]) + sum(COUNTS["val"]) + sum(GENERATED)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunFolder:
    settings, folder = tiny_run(tmp_path_factory.mktemp("whole"))
    train.run(short(settings), folder)
    return folder


# What is written: the mark of the cache (once), then per training a state after each evaluation, history, predictions,
# weights, card. Each is synced twice: the file, then its folder.
@pytest.mark.parametrize("syncs", [0, 1, 4, 8, 9, 13, 16])
def test_a_training_killed_at_any_write_ends_with_the_same_bytes(whole, tmp_path, monkeypatch, syncs):
    settings, folder = tiny_run(tmp_path)
    settings = short(settings)
    left, sync = [syncs], os.fsync

    def dying(handle):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying)
        with pytest.raises(Killed):
            train.run(settings, folder)
    train.run(settings, folder)
    assert training_files(folder) == training_files(whole)
    assert folder.require(TRAINING).digest == whole.require(TRAINING).digest


def test_a_finished_training_is_not_repeated_and_a_new_seed_adds_to_it(tmp_path):
    settings, folder = tiny_run(tmp_path)
    settings = short(settings, steps=2)
    first = train.run(settings, folder)
    assert train.run(settings, folder).version == first.version
    written = {path: path.stat().st_mtime_ns for path in (folder.path / "training").rglob("card.json")}
    second = train.run(replace(settings, train=replace(settings.train, seeds=2)), folder)
    assert [record.id for record in second.records] == [
        f"{arm}/seed-{seed}" for arm in ("real", "combined") for seed in (0, 1)
    ]
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_seeds_share_initial_weights_across_arms_and_differ_between_seeds(trained):
    settings, _ = trained
    build, _ = train.initial_network(settings, 3)
    first, again, other = build(0).state_dict(), build(0).state_dict(), build(1).state_dict()
    assert torch.equal(first["conv1.weight"], again["conv1.weight"])
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def without_generated_images(folder):
    curation = folder.require(CURATION)
    folder.write(replace(curation, records=[replace(record, kept=False) for record in curation.records]))


def test_an_arm_without_images_is_left_out_and_the_others_are_trained(tmp_path, capsys):
    settings, folder = tiny_run(tmp_path)
    without_generated_images(folder)
    settings = short(settings, steps=2)
    settings = replace(settings, train=replace(settings.train, arms=("real", "synthetic", "combined")))
    trained_arms = {record.arm for record in train.run(settings, folder).records}
    assert trained_arms == {"real", "combined"}
    assert "arm synthetic has no image to learn from, so it is left out" in capsys.readouterr().err


def test_the_document_says_which_arms_learned_from_less_than_their_names_say(tmp_path):
    settings, folder = tiny_run(tmp_path)
    without_generated_images(folder)
    settings = short(settings, steps=2)
    settings = replace(settings, train=replace(settings.train, arms=("real", "synthetic", "combined")))
    settings = replace(settings, compare=replace(settings.compare, candidate="synthetic"))
    assert train.run(settings, folder).summary.notes == {
        "synthetic": "has no image to learn from, so it is left out",
        "combined": "has no generated image that was kept, so it learns from real images alone",
    }


def test_a_run_whose_arms_have_no_image_at_all_says_which_arm_would(tmp_path):
    settings, folder = tiny_run(tmp_path)
    without_generated_images(folder)
    with pytest.raises(InputError, match="name an arm with real images, such as real"):
        train.run(replace(settings, train=replace(settings.train, arms=("synthetic",))), folder)


def test_an_arm_whose_training_fails_is_left_out_and_the_others_end(tmp_path):
    settings, folder = tiny_run(tmp_path)
    settings = short(settings, steps=2)
    settings = replace(settings, train=replace(settings.train, arms=("real", "combined", "combined+gate")))
    # The gate watches what is not there, as where the arm that it compares could not be trained.
    document = train.run(settings, folder, train.HarmGate(settings, tmp_path / "elsewhere"))
    assert {record.arm for record in document.records} == {"real", "combined"}
    assert document.summary.notes["combined+gate"].startswith("is left out, since its training failed: ")


def test_an_unknown_arm_is_refused(tmp_path):
    settings, folder = tiny_run(tmp_path)
    with pytest.raises(InputError, match="'reel', expected parts joined by"):
        train.run(replace(settings, train=replace(settings.train, arms=("real", "reel"))), folder)


TARGETS = np.array([0, 0, 0, 0, 1, 1, 2])
IS_GENERATED = np.array([False, False, True, True, False, True, False])


def test_weights_balance_classes_and_kinds():
    plain, even = (parse_arm(name, ()) for name in ("combined", "combined+balanced"))
    assert train.weights_of(TARGETS, IS_GENERATED, plain, 0.0).tolist() == [1] * 7
    assert train.weights_of(TARGETS, IS_GENERATED, plain, 0.2) == pytest.approx([1.6, 1.6, 0.4, 0.4, 1.6, 0.4, 1])
    found = train.weights_of(TARGETS, IS_GENERATED, even, 0.2)
    assert [found[label == TARGETS].sum() for label in range(3)] == pytest.approx([7, 7, 7])
    assert found[IS_GENERATED].sum() == pytest.approx(0.2 * 14)


def gated_settings(folder):
    settings, run = tiny_run(folder)
    return short(settings, arms=("real", "combined", "combined+gate")), run


def test_a_gated_arm_learns_without_the_images_of_the_class_that_took_others(tmp_path):
    settings, run = gated_settings(tmp_path)
    gate = ScriptedGate([(frozenset({"breaker_ok"}), frozenset({"tank_ok"}))])
    records = {record.arm: record for record in train.run(settings, run, gate).records}
    plain, gated = records["combined"], records["combined+gate"]
    assert (list(plain.dropped), gated.dropped) == ([], ["tank_ok"])
    assert plain.images["synthetic"]["tank_ok"] > 0
    assert gated.images["synthetic"] == {**plain.images["synthetic"], "tank_ok": 0}
    assert gated.images["real"] == plain.images["real"]


def test_a_gated_arm_that_gains_nothing_ends_as_the_real_one(tmp_path):
    settings, run = gated_settings(tmp_path)
    settings = replace(settings, train=replace(settings.train, learning_rate=1e-9))  # nobody learns anything
    records = {record.arm: record for record in train.run(settings, run).records}
    gated, real = records["combined+gate"], records["real"]
    assert gated.dropped == sorted(LABELS)
    assert sum(gated.images["synthetic"].values()) == 0
    assert gated.validation == real.validation


def test_a_gate_needs_the_arm_that_it_watches(tmp_path):
    settings, run = gated_settings(tmp_path)
    alone = short(settings, arms=("real", "combined+gate"))
    with pytest.raises(InputError, match="whose gate watches combined; name that arm too"):
        train.run(alone, run)


def spatial_run(folder, **changed):
    settings, run = tiny_run(folder, boxed=True)
    torch.manual_seed(0)
    weights = folder / "backbone.safetensors"
    safetensors.torch.save_file(build_network("efficientnet_lite0", 3, 8).state_dict(), weights)
    section = {
        "arms": ("real+classic", "real", "combined"), "backbone": "efficientnet_lite0", "weights": str(weights),
        "layers": "classifier", "head": "auto", "size": 64, "aspect": "native", "cross_fit": 3, "seeds": 1, **changed,
    }  # fmt: skip
    return replace(settings, train=replace(settings.train, **section)), run


@pytest.fixture(scope="module")
def spatial(tmp_path_factory):
    settings, folder = spatial_run(tmp_path_factory.mktemp("spatial"))
    return settings, folder, train.run(settings, folder)


def test_a_spatial_head_is_chosen_where_there_are_faults_and_every_real_picture_is_judged_unseen(spatial):
    _, folder, document = spatial
    head = head_from_json(document.summary.head, tuple(document.summary.labels))
    assert head.kinds == ("breaker_burnt",)
    assert [group.healthy for group in head.groups] == ["breaker_ok", "tank_ok"]
    assert head.evidence == "boxes"
    assert document.summary.input == PreprocessSpec(64, 64, "letterbox").to_json()
    real = [record for record in folder.require(DATASET).records if record.split != "test"]
    for arm in ("real", "real+classic", "combined"):
        found = read_predictions(folder.path / "training" / arm / "seed-0")
        assert list(found.ids) == [record.id for record in real]
        assert (found.scores is None) == (arm == "real+classic")
    counts = document.records[1].images["real"]
    assert counts == {label: COUNTS["train"][k] + COUNTS["val"][k] for k, label in enumerate(LABELS)}


def test_the_spatial_checkpoint_gives_maps_and_the_classic_one_logits(spatial):
    _, folder, document = spatial
    frame = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        network, card = load_checkpoint(folder.path / "training/real/seed-0")
        assert [tuple(out.shape) for out in network(frame)] == [(1, 2), (1, 1), (1, 1, 4, 4)]
        assert head_from_json(card["head"], LABELS).to_json() == document.summary.head
        network, card = load_checkpoint(folder.path / "training/real+classic/seed-0")
        assert network(frame).shape == (1, 3)
        assert "head" not in card


def test_the_same_settings_give_the_same_heads(spatial, tmp_path):
    _, folder, _ = spatial
    settings, again = spatial_run(tmp_path, arms=("real",))
    settings = replace(settings, compare=replace(settings.compare, baseline="real+classic"))
    train.run(settings, again)
    for name in ("model.safetensors", "predictions.json"):
        place = Path("training/real/seed-0") / name
        assert (folder.path / place).read_bytes() == (again.path / place).read_bytes()


def test_the_whole_network_may_learn_with_a_spatial_head(tmp_path, monkeypatch):
    monkeypatch.setattr("augment.spatial.head_training.LEAST_STEPS", 10)
    options = {"layers": "all", "cross_fit": 0, "steps": 4, "evaluate_every": 2, "backbone_rate": 0.1}
    settings, folder = spatial_run(tmp_path, arms=("real", "combined"), **options)
    document = train.run(settings, folder)
    assert [record.steps for record in document.records] == [4, 4]
    assert set(document.records[0].validation) == {"accuracy", "macro_f1", "macro_recall", "loss"}
    place = folder.path / "training/combined/seed-0"
    assert "ranking" in json.loads((place / "history.json").read_bytes())[-1]["validation"]
    network, card = load_checkpoint(place)
    assert card["head"]["evidence"] == "boxes"
    assert [tuple(out.shape) for out in network(torch.zeros(1, 3, 64, 64))] == [(1, 2), (1, 1), (1, 1, 4, 4)]


def test_without_faults_auto_is_the_class_head_and_spatial_is_refused(tmp_path):
    settings, folder = spatial_run(tmp_path, arms=("real",))
    settings = replace(settings, data=replace(settings.data, faults=()))
    assert train.run(settings, folder).summary.head is None
    settings = replace(settings, train=replace(settings.train, head="spatial"))
    with pytest.raises(InputError, match=r"data\.faults names none of the labels"):
        train.run(settings, folder)


def test_large_pictures_are_trained_in_tiles_and_the_classic_arm_sees_them_whole(tmp_path):
    settings, folder = spatial_run(tmp_path, arms=("real", "real+classic"), size=32, tiles=2)
    # 40 pixels hold no second tile of 32 without being enlarged, 80 do.
    records = folder.require(DATASET).records
    assert train.design(settings, train.Material(LABELS, records, {})).spec.tiles == (1, 1)
    larger = [from_json(DatasetRecord, {**vars(record), "width": 80, "height": 80}) for record in records]
    design = train.design(settings, train.Material(LABELS, larger, {}))
    assert (design.spec.tiles, design.spec.canvas) == ((2, 2), (64, 64))  # tiles of 32 lie 32 apart: whole cells
    assert design.classic.spec.tiles == (1, 1)


def test_a_pictures_own_mean_is_taken_off_where_boxes_teach_the_head_alone(tmp_path):
    settings, folder = spatial_run(tmp_path, arms=("real",), centre=0.7)
    records = folder.require(DATASET).records
    bare = [from_json(DatasetRecord, {**vars(record), "boxes": ()}) for record in records]
    shapes = [train.design(settings, train.Material(LABELS, images, {})).shape for images in (records, bare)]
    assert [shape.centre for shape in shapes] == [0.7, 0.0]


def test_a_spatial_head_weighs_rare_classes_by_itself(tmp_path):
    settings, folder = spatial_run(tmp_path, arms=("real", "real+balanced"))
    with pytest.raises(InputError, match="weighs rare classes by itself; leave balanced out, or add classic"):
        train.run(settings, folder)
