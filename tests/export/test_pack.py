"""Packing: what a bundle holds, and what becomes of an older one where packing fails."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.bundle.decision import DecisionRule, SpatialRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import check_golden, load_golden
from edge_runtime.bundle.heads import Group, Pooling, SpatialHead
from edge_runtime.bundle.store import open_bundle
from export.checkpoint import checkpoint_digest, save_checkpoint
from export.golden_frames import made_frames, tolerance
from export.pack import PackTools, pack_bundle, prove
from export.parity import onnx_runner, torch_runner, torch_scores
from tests.support.narrow_network import (
    CARD,
    LABELS,
    SPATIAL_CARD,
    SPATIAL_HEAD,
    SPATIAL_SPEC,
    SPEC,
    narrow_network,
    pictures,
    spatial_network,
)
from tests.support.packed_network import spatial_evidence


@pytest.fixture
def copied(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "bundle")


def fake_onnx(network, spec, path, precision):
    path.write_bytes(f"{precision}".encode())


@pytest.fixture
def instant(network):
    """Packing without the exporter and its runner: for tests of what happens around them."""

    def prove_network(folder):
        check_golden(lambda frames: torch_scores(network, frames).scores, load_golden(open_bundle(folder)), "fp32")

    return PackTools(write_onnx=fake_onnx, run_file=lambda path: torch_runner(network), prove=prove_network)


def pack_into(folder, checkpoint, evidence, rule, **changes):
    settings = {"name": "narrow", "version": "2", "decision": rule, "metrics": {}, "lineage": {}, **changes}
    return pack_bundle(checkpoint, evidence, folder, **settings)


def test_a_packed_bundle_opens_and_proves_itself(packed, checkpoint):
    bundle = open_bundle(packed)
    assert bundle.manifest.precisions == ("fp32", "fp16")
    assert set(bundle.manifest.files) >= {"model.fp32.onnx", "model.fp16.onnx", "golden.json", "golden/00.png"}
    assert bundle.manifest.labels == LABELS
    assert bundle.manifest.lineage["run"] == "test"
    assert bundle.manifest.lineage["checkpoint"] == checkpoint_digest(checkpoint)
    parity = bundle.manifest.metrics["parity"]
    assert bundle.manifest.metrics["macro_f1"] == 0.5
    assert parity["fp32"]["frames"] == 60
    assert parity["fp32"]["agreement"] == 1.0
    assert parity["fp32"]["worst_probability"] < 1e-4 < parity["fp16"]["worst_score"] < 0.5
    assert prove(packed)["fp32"] < 1e-4
    assert [path.name for path in packed.parent.iterdir()] == ["bundle"]


def test_a_lite0_bundle_answers_as_its_network_in_both_precisions(tmp_path, evidence, rule):
    network = narrow_network(backbone="efficientnet_lite0")
    save_checkpoint(tmp_path / "checkpoint", network, {**CARD, "backbone": "efficientnet_lite0"})
    pack_into(tmp_path / "bundle", tmp_path / "checkpoint", evidence, rule)
    frames = pictures(4, seed=11)
    expected = torch_scores(network, frames).scores
    assert abs(onnx_runner(tmp_path / "bundle" / "model.fp32.onnx")(frames)["logits"] - expected).max() <= 1e-4
    halved = abs(onnx_runner(tmp_path / "bundle" / "model.fp16.onnx")(frames)["logits"] - expected).max()
    assert 0 < halved < 0.01 * abs(expected).max()
    assert prove(tmp_path / "bundle")["fp32"] < 1e-4


def test_golden_frames_catch_swapped_colours(packed):
    golden = load_golden(open_bundle(packed))
    model = onnx_runner(packed / "model.fp16.onnx")

    def run(frames):
        return model(frames)["logits"]

    assert check_golden(run, golden, "fp16") <= golden.tolerance["fp16"]
    with pytest.raises(InputError, match="scores differ by"):
        check_golden(lambda frames: run(frames[..., ::-1]), golden, "fp16")


def test_grey_pictures_alone_still_catch_swapped_colours(packed, network):
    """Thermal pictures are often grey, where a swap changes nothing; the saturated made frame is for them."""
    frames = np.stack([SPEC.apply(frame) for frame in made_frames(SPEC)])
    expected, swapped = torch_scores(network, frames).scores, torch_scores(network, frames[..., ::-1].copy()).scores
    assert abs(expected - swapped).max() > 3 * tolerance(
        "fp16", expected, onnx_runner(packed / "model.fp16.onnx")(frames)["logits"]
    )


def test_a_damaged_bundle_is_a_sentence(copied):
    path = copied / "model.fp16.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"model.fp16.onnx has sha256 .* the manifest says"):
        prove(copied)


def test_every_precision_is_held_against_the_network_and_gets_its_own_rule(packed, rule):
    manifest = open_bundle(packed).manifest
    network, fp16 = manifest.metrics["network"], manifest.metrics["parity"]["fp16"]
    assert network["accuracy"] == 1.0  # the test frames bear the network's own answers
    assert fp16["accuracy"] == fp16["agreement"]
    assert sum(network["images"].values()) == 60
    assert manifest.rule("fp32") == rule
    assert manifest.rule("fp16").temperature != rule.temperature
    assert manifest.metrics["refused"] == {}


def test_a_file_that_loses_too_much_is_left_out_and_the_manifest_says_why(
    tmp_path, checkpoint, evidence, rule, instant
):
    def runner(path):
        run = instant.run_file(path)
        return (lambda frames: {name: x[:, ::-1] for name, x in run(frames).items()}) if "fp16" in path.name else run

    pack_into(tmp_path / "bundle", checkpoint, evidence, rule, tools=replace(instant, run_file=runner))
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.precisions == ("fp32",)
    assert "model.fp16.onnx" not in manifest.files
    assert "its macro recall on the test set is" in manifest.metrics["refused"]["fp16"]
    assert set(load_golden(open_bundle(tmp_path / "bundle")).tolerance) == {"fp32"}


@pytest.mark.parametrize(("harm", "decode"), [(False, "reduced"), (True, "full")])
def test_large_pictures_are_decoded_smaller_only_where_that_did_no_harm(
    tmp_path, checkpoint, evidence, rule, instant, harm, decode
):
    frames = {item.id: item.frame for item in evidence.test}
    shuffled = dict(zip(frames, list(frames.values())[::-1], strict=True)) if harm else frames
    pack_into(tmp_path / "bundle", checkpoint, replace(evidence, reduced=shuffled), rule, tools=instant)
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.input.decode == decode
    assert (manifest.metrics["reduced_decode"]["refused"] is not None) == harm
    assert manifest.metrics["reduced_decode"]["frames"] == 60


def test_without_evidence_pictures_are_decoded_whole(packed):
    manifest = open_bundle(packed).manifest
    assert (manifest.input.decode, manifest.metrics["reduced_decode"]) == ("full", None)


def test_without_fp32_there_is_nothing_to_judge_by(tmp_path, checkpoint, evidence, rule):
    with pytest.raises(InputError, match=r"precisions are \['fp16'\], expected fp32 among them"):
        pack_into(tmp_path / "bundle", checkpoint, evidence, rule, precisions=["fp16"])


def test_packing_replaces_the_older_bundle_and_leaves_nothing_else(copied, checkpoint, evidence, rule, instant):
    old = copied.stat().st_ino
    leftover = copied.parent / ".bundle.packing"
    leftover.mkdir()
    (leftover / "half").write_text("a run that was killed")
    pack_into(copied, checkpoint, evidence, rule, tools=instant)
    assert open_bundle(copied).manifest.version == "2"
    assert copied.stat().st_ino != old
    assert [path.name for path in copied.parent.iterdir()] == ["bundle"]


def test_a_bundle_that_fails_its_proof_does_not_replace_the_old_one(copied, checkpoint, evidence, rule, instant):
    def refuse(folder):
        raise InputError("the golden frames do not match")

    before = open_bundle(copied).digest
    with pytest.raises(InputError, match="do not match"):
        pack_into(copied, checkpoint, evidence, rule, tools=replace(instant, prove=refuse))
    assert open_bundle(copied).digest == before


def test_the_same_input_gives_the_same_bundle(tmp_path, checkpoint, evidence, rule, instant):
    for name in ("one", "two"):
        way = slice(None, None, 1 if name == "one" else -1)
        turned = replace(evidence, golden=evidence.golden[way], validation=evidence.validation[way])
        pack_into(tmp_path / name, checkpoint, turned, rule, created="2026-01-01", tools=instant)
    assert open_bundle(tmp_path / "one").digest == open_bundle(tmp_path / "two").digest


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path, checkpoint, evidence, rule):
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and holds no bundle"):
        pack_into(tmp_path, checkpoint, evidence, rule)
    assert (tmp_path / "holiday.txt").read_text() == "mine"


def test_a_rule_for_other_labels_is_refused(tmp_path, checkpoint, evidence):
    other = DecisionRule(("clean", "hot", "cracked"), ("hot",), thresholds={"hot": 0.5})
    with pytest.raises(InputError, match=r"the decision rule has labels \['clean', 'hot', 'cracked'\], the checkpoint"):
        pack_into(tmp_path / "new", checkpoint, evidence, other)
    assert not (tmp_path / "new").exists()


def test_a_spatial_bundle_proves_itself_and_has_one_verdict_for_all_tiles(spatial_packed):
    manifest = open_bundle(spatial_packed).manifest
    tiles = manifest.input.tiles
    assert (manifest.head, manifest.input) == (SPATIAL_HEAD, replace(SPATIAL_SPEC, tiles=tiles))
    assert manifest.requires == ("spatial-head", "letterbox", *(["tiles"] if tiles != (1, 1) else []))
    assert not manifest.metrics["support"]["line_hot"]["supported"]
    assert manifest.metrics["network"]["accuracy"] == 1.0
    parity = manifest.metrics["parity"]["fp32"]
    assert (parity["frames"], parity["agreement"]) == (40, 1.0)
    assert max(parity["worst_score"], parity["worst_map"]) < 1e-4
    assert manifest.rule("fp16").thresholds["line_hot"] == manifest.rule("fp16").thresholds["mast_hot"]
    golden = load_golden(open_bundle(spatial_packed))
    assert golden.views.shape == (21, tiles[1], 64, 96, 3)
    assert prove(spatial_packed)["fp32"] < 1e-4


def test_an_fp32_file_whose_map_is_another_is_refused(tmp_path, instant):
    network = spatial_network()
    save_checkpoint(tmp_path / "checkpoint", network, SPATIAL_CARD)
    evidence, rule = spatial_evidence(network, SPATIAL_SPEC, SPATIAL_HEAD)

    def shifted(path):
        return lambda frames: {**torch_runner(network)(frames), "maps": torch_runner(network)(frames)["maps"] + 0.1}

    with pytest.raises(InputError, match=r"its maps on the test set differ from the network's by 0.1"):
        pack_into(tmp_path / "new", tmp_path / "checkpoint", evidence, rule, tools=replace(instant, run_file=shifted))


def test_without_fresh_validation_frames_every_file_follows_the_networks_rule(
    tmp_path, checkpoint, evidence, rule, instant
):
    pack_into(tmp_path / "bundle", checkpoint, replace(evidence, validation=[]), rule, tools=instant)
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.precisions == ("fp32", "fp16")
    assert manifest.rule("fp16") == manifest.rule("fp32") == rule


def test_a_rule_for_another_head_is_refused(tmp_path, checkpoint, evidence):
    group = Group("a", "clean", {"hot": "hot", "crack": "cracked"})
    head = SpatialHead((group,), ("hot", "crack"), Pooling("top", 4))
    values = dict.fromkeys(head.kinds, 1.0)
    rule = SpatialRule(head, LABELS, ("cracked", "hot"), 1.0, values, values, {"cracked": 0.5, "hot": 0.5})
    with pytest.raises(InputError, match="for another head than the checkpoint's"):
        pack_into(tmp_path / "new", checkpoint, evidence, rule)
