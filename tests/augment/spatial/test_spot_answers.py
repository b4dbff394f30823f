"""A spatial comparison run whole on drawn pictures: a spot that a head can see, and a place that it cannot."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from augment.evaluation import arm_comparison
from augment.evaluation.tables import support, table
from augment.json_objects import from_json
from augment.record_types import DatasetRecord, Mending
from augment.records import DATASET, TRAINING, Document, RunFolder
from augment.report.build import write_report
from augment.settings import Settings, write_settings
from augment.spatial import spot_answers
from augment.spatial.spot_answers import Answered, Pictures, Trained
from augment.stages import compare, train
from augment.training.harm_gate import HarmGate
from augment.training.predictions import PAINTED
from edge_runtime.bundle.heads import SpatialHead
from tests.support.spotted_run import SIDE, spotted_run


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> tuple[Settings, RunFolder, Document]:
    settings, folder = spotted_run(tmp_path_factory.mktemp("spotted"))
    write_settings(settings, folder.path / "pipeline.toml")
    train.run(settings, folder)
    return settings, folder, compare.run(settings, folder)


def test_every_arm_is_measured_by_the_same_rule_whatever_its_head(compared):
    _, folder, document = compared
    summary = document.summary
    assert set(summary.arms) == {"real", "real+classic"}
    for arm in summary.arms.values():
        seen = arm.spots.faults["tower_hotspot"]
        assert (seen.images, seen.boxed) == (12, 12)
        assert [at.specificity for at in seen.recall_common] == [0.9, 0.95]
        assert seen.gap.value == pytest.approx(seen.boxed_auc.value - seen.painted_auc.value)
        assert 0 <= seen.pointing.value <= 1
    heads = {name: Trained.read(folder.path / f"training/{name}/seed-0").head for name in summary.arms}
    assert isinstance(heads["real"], SpatialHead)
    assert not isinstance(heads["real+classic"], SpatialHead)


def test_a_head_that_was_taught_by_boxes_rests_on_the_spot_and_points_at_it(compared):
    _, _, document = compared
    seen = document.summary.arms["real"].spots.faults["tower_hotspot"]
    assert seen.auc.value > 0.9
    assert seen.painted_auc.value < 0.75
    assert seen.supported
    assert seen.pointing.value > 0.8
    assert seen.control_keep.value > seen.keep.value
    assert document.summary.differences["real+classic"].spots["tower_hotspot"].gap is not None


def test_what_each_picture_was_called_is_what_its_rule_decides(compared):
    settings, folder, document = compared
    trained = Trained.read(folder.path / "training/real/seed-0")
    rule = trained.rule(("tower_hotspot",), settings.export.recall_target, settings.export.specificity)
    record = folder.require(TRAINING).records[0]
    dataset = folder.require(DATASET)
    path = folder.path / "comparison/logits/real/seed-0.safetensors"
    found = Answered.kept(path, [record.sha256, dataset.digest, trained.spec.to_json()])
    called = [rule.decide(scores).label for scores in found.as_is]
    assert called == [record.predicted["real/seed-0"] for record in document.records]
    assert Answered.kept(path, "another") is None


def test_a_lost_document_is_made_again_without_looking_at_the_pictures(compared, monkeypatch):
    settings, folder, document = compared
    monkeypatch.setattr(Pictures, "answers_of", lambda *_: pytest.fail("looked again"))
    monkeypatch.setattr(compare, "_write_mending", lambda *_: None)
    monkeypatch.setattr(compare, "_write_maps", lambda *_: None)
    (folder.path / f"comparison/v{document.version:04d}.json").unlink()
    assert compare.run(settings, folder).digest == document.digest


def test_a_mislabelled_picture_comes_first_and_its_spot_is_marked(compared):
    _, folder, _ = compared
    found = from_json(Mending, json.loads((folder.path / "comparison/mending.json").read_bytes()))
    first = found.suspects[0]
    assert (first.id, first.label, first.likelier, first.doubt) == ("wrong", "tower_ok", "tower_hotspot", "label")
    known = {record.id: record for record in folder.require(DATASET).records}
    x, y = first.place
    assert np.hypot(x - 10, y - 50) < 20
    assert {known[suspect.id].split for suspect in found.suspects} <= {"train", "val", "test"}
    for sheet in (found.sheet, found.maps):
        assert cv2.imread(str(folder.path / sheet)) is not None


def test_the_report_shows_what_the_comparison_saw(compared):
    _, folder, document = compared
    page = write_report(folder).read_text()
    assert "Does it see the fault?" in page
    assert document.summary.arms["real"].spots.faults["tower_hotspot"].why in page
    assert "Which pictures to mend" in page
    assert page.count("data:image/jpeg") > 2


def test_the_line_and_the_table_say_what_the_score_rests_on(compared):
    _, _, document = compared
    said = compare.summary_line(document)
    assert "its score rests on the fault for tower_hotspot" in said
    lines = table(document.summary).splitlines()
    assert sum(line.startswith("tower_hotspot") and line.endswith("supported") for line in lines) == 2


def test_an_arm_that_loses_the_support_of_a_fault_does_not_pass(compared):
    _, _, document = compared
    summary = document.summary
    before = summary.arms["real"].spots
    lost = replace(before, faults={name: replace(one, supported=False) for name, one in before.faults.items()})
    passed = replace(summary.differences["real+classic"], verdict="PASS")
    assert arm_comparison._reading_support(passed, before, before).verdict == "PASS"
    found = arm_comparison._reading_support(passed, before, lost)
    assert (found.verdict, list(found.lost_support)) == ("INCONCLUSIVE", ["tower_hotspot"])
    arms = {**summary.arms, "real+classic": replace(summary.arms["real+classic"], spots=lost)}
    worse = replace(summary, arms=arms, differences={"real+classic": found})
    assert support(worse).endswith("it loses the support of tower_hotspot, so it does not pass")


def test_sizes_are_those_of_the_largest_box_in_pixels_of_the_input(compared):
    _, folder, _ = compared
    spec = Trained.read(folder.path / "training/real/seed-0").spec
    size = {"width": SIDE, "height": SIDE}
    boxed = from_json(DatasetRecord, {**size, "boxes": [(1, 1, 4, 9), (20, 20, 12, 6)]})
    pixels, share = spot_answers.sides([boxed, from_json(DatasetRecord, size)], spec)
    assert pixels[0] == pytest.approx(6 * spec.width / SIDE)
    assert share[0] == pytest.approx(6 / SIDE)
    assert np.isnan([pixels[1], share[1]]).all()


def test_held_out_pictures_carry_the_score_of_their_painted_copy_for_the_gate(compared):
    settings, folder, _ = compared
    found = Trained.read(folder.path / "training/real/seed-0").held_out
    boxed = found.targets == found.labels.index("tower_hotspot")
    assert np.isnan(found.copies[PAINTED]).all(axis=1).tolist() == (~boxed).tolist()
    assert (found.scores[boxed, -1] > found.copies[PAINTED][boxed, -1]).mean() > 0.8
    assert HarmGate(settings, folder.path / "training").gaps("real")["tower_hotspot"].value == 0  # beside itself


def test_the_rule_leaves_as_many_pictures_alone_as_the_settings_ask_for(compared):
    _, folder, _ = compared
    trained = Trained.read(folder.path / "training/real/seed-0")
    rule = trained.rule(("tower_hotspot",), 0.0, 0.9)
    healthy = trained.held_out_scores[trained.held_out.targets == trained.held_out.labels.index("tower_ok")]
    assert np.mean([rule.decide(scores).fault for scores in healthy]) <= 0.1
    assert rule.thresholds != trained.rule(("tower_hotspot",), 0.0, 0.5).thresholds


def test_boxes_of_healthy_pictures_say_nothing_of_the_smallest_fault(compared):
    _, folder, _ = compared
    found = Trained.read(folder.path / "training/real/seed-0")
    rules = [found.rule(("tower_hotspot",))]
    empty = np.zeros((0, 1, SIDE // 16, SIDE // 16), np.float32)
    labels = [found.held_out.labels[target] for target in found.held_out.targets]

    def smallest(boxes_of_healthy):
        boxes = {"tower_hotspot": [(8, 8, 8, 8)], "tower_ok": boxes_of_healthy}
        known = {
            name: from_json(DatasetRecord, {"label": label, "width": SIDE, "height": SIDE, "boxes": boxes[label]})
            for name, label in zip(found.held_out.ids, labels, strict=True)
        }
        return spot_answers._smallest([(found, Answered(empty, empty, empty, empty))], rules, known)

    assert smallest(()).images == 12
    assert smallest([(8, 8, 30, 30)]) == smallest(())
