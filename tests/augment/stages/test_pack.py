"""What calibration makes of the predictions that training left."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from augment.json_objects import as_plain, from_json
from augment.presets import PRESETS
from augment.record_types import ArmResult, TrainingRecord
from augment.records import EXPORT, TRAINING, RunFolder
from augment.settings import DataSettings, ExportSettings, Settings, load_settings
from augment.stages import pack
from edge_runtime.bundle.heads import ClassHead
from edge_runtime.bundle.store import open_bundle
from export.checkpoint import save_checkpoint
from export.network import build_network
from tests.support import ROOT
from tests.support.made_documents import made
from tests.support.narrow_network import SPATIAL_FAULTS, SPATIAL_HEAD, SPATIAL_LABELS

LABELS = ["clean", "hot"]


def predictions(hot: int, of_them_faint: int) -> list[dict[str, object]]:
    """100 clean images and `hot` hot ones, of which `of_them_faint` look like the 24 least clean ones."""
    images = [{"label": "clean", "logits": [2.0, -2.0 + number / 50]} for number in range(100)]
    images += [{"label": "hot", "logits": [-1.0, 1.0]} for _ in range(hot - of_them_faint)]
    return images + [{"label": "hot", "logits": [1.0, -1.5]} for _ in range(of_them_faint)]


def calibrated(path, images, target):
    (path / "hot-arm").mkdir(exist_ok=True)
    named = [{"id": str(at), **image} for at, image in enumerate(images)]
    (path / "hot-arm" / "predictions.json").write_text(json.dumps({"labels": LABELS, "images": named}))
    training = made(TRAINING, None, [], {"fault_labels": ["hot"]}).summary
    chosen = from_json(TrainingRecord, {"path": "hot-arm"})
    settings = replace(PRESETS["mini"], export=replace(PRESETS["mini"].export, recall_target=target))
    return pack.calibrate(settings, RunFolder(path), training, chosen)


def test_the_recall_target_of_the_settings_decides_the_threshold(tmp_path):
    images = predictions(hot=60, of_them_faint=12)
    _, best = calibrated(tmp_path, images, 0.0)
    rule, found = calibrated(tmp_path, images, 0.95)
    assert (best["hot"].recall, found["hot"].recall) == (pytest.approx(0.8), 1.0)
    assert rule.thresholds["hot"] == found["hot"].threshold < best["hot"].threshold
    assert found["hot"].false_alarms > best["hot"].false_alarms
    logits = np.array([image["logits"] for image in images if image["label"] == "hot"])
    assert all(rule.decide(row).fault for row in logits)


def test_the_line_of_the_stage_names_thresholds_that_rest_on_too_few_images(tmp_path):
    _, few = calibrated(tmp_path, predictions(hot=7, of_them_faint=0), 0.9)
    _, enough = calibrated(tmp_path, predictions(hot=29, of_them_faint=0), 0.9)
    record = {"id": "fp32", "agreement": 0.998}
    lines = [
        pack.summary_line(
            made(EXPORT, None, [record], {"training": "real-0", "thresholds": as_plain(thresholds), "refused": refused})
        )
        for thresholds, refused in ((few, {}), (enough, {"int8": "it is worse"}))
    ]
    assert lines[0].endswith("; too few validation images to vouch for a threshold: hot 7 of 29")
    assert "packed as fp32 (99.8 %)" in lines[1]
    assert lines[1].endswith("; int8 refused: it is worse")


def test_a_spatial_heads_rule_is_fitted_on_its_scores(tmp_path):
    images = []
    for at in range(80):
        group, hot = at % 2, at % 4 > 1
        scores = [float(group == 0), float(group == 1), (2.0 if hot else -2.0) + at / 100]
        images.append({"id": str(at), "label": SPATIAL_LABELS[2 * group + hot], "logits": [0.0] * 4, "scores": scores})
    content = {"labels": list(SPATIAL_LABELS), "head": SPATIAL_HEAD.to_json(), "images": images}
    (tmp_path / "arm").mkdir()
    (tmp_path / "arm" / "predictions.json").write_text(json.dumps(content))
    training = made(TRAINING, None, [], {"fault_labels": list(SPATIAL_FAULTS)}).summary
    chosen = from_json(TrainingRecord, {"path": "arm"})
    rule, found = pack.calibrate(PRESETS["mini"], RunFolder(tmp_path), training, chosen)
    assert rule.head == SPATIAL_HEAD
    assert [rule.decide(np.array(image["scores"])).label for image in images] == [image["label"] for image in images]
    assert [found[label].positives for label in SPATIAL_FAULTS] == [20, 20]


def test_what_a_score_rests_on_and_the_smallest_fault_come_from_the_comparison():
    hot = {"images": 5, "boxed": 5, "supported": False, "why": "the gap is 2 points"}
    spots = {"faults": {"hot": hot}, "smallest_fault": {"pixels": 24.0, "share": 0.08, "recall": 0.7, "cell": 16.0}}
    assert pack._seen(from_json(ArmResult, {"spots": spots}), ["hot", "line_rust"]) == {
        "support": {
            "hot": {"supported": False, "why": "the gap is 2 points"},
            "line_rust": {
                "supported": False,
                "why": "line rust: not supported: no test picture shows it, so what its score rests on is not known",
            },
        },
        "smallest_fault": {"pixels": 24.0, "share": 0.08, "recall": 0.7, "cell": 16.0},
    }
    assert pack._seen(from_json(ArmResult, {}), ["hot"]) == {"support": {}, "smallest_fault": None}


def test_a_bundle_of_the_first_format_is_packed_anew_from_its_checkpoint_and_then_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(ROOT / "tests" / "data" / "0.1.0", tmp_path / "old"))
    folder = RunFolder(tmp_path / "old" / "run")
    settings = load_settings(folder.path)
    settings = replace(settings, export=replace(settings.export, arm="real", precisions=("fp32",)))
    summary, chosen = folder.require(TRAINING).summary, pack.choose(folder.require(TRAINING).records, "real")
    path = folder.path / "export" / "v0001.json"
    document = json.loads(path.read_bytes())
    document["settings"] |= {"arm": "real", "precisions": ["fp32"]}  # generated pictures are not kept, weights neither
    path.write_text(json.dumps({**document, "models": {chosen.id: chosen.sha256}}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network("resnet50", 4, 8)
    card = {"backbone": "resnet50", "width": 8, "labels": summary.labels, "fault_labels": summary.fault_labels}
    save_checkpoint(folder.path / chosen.path, network, {**card, "input": summary.input})
    assert pack.run(settings, folder).version == 2
    manifest = open_bundle(folder.path / "bundle").manifest
    assert (manifest.head, manifest.requires) == (ClassHead(tuple(summary.labels)), ("class-head",))
    assert pack.run(settings, folder).version == 2


@pytest.mark.parametrize(
    ("arm", "verdict", "packed"),
    [
        ("proven", "PASS", "combined"),
        ("proven", "FAIL", "real"),
        ("proven", "INCONCLUSIVE", "real"),
        ("combined", "FAIL", "combined"),
    ],
)
def test_the_verdict_decides_what_is_packed_where_the_settings_ask_for_what_is_proven(arm, verdict, packed):
    settings = Settings(data=DataSettings(source="images"), export=ExportSettings(arm=arm))
    assert settings.contradictions() == []
    found = SimpleNamespace(candidate="combined", baseline="real", verdict=verdict)
    assert pack.wanted_arm(settings, found) == packed
