"""What calibration makes of the predictions that training left."""

import json
from dataclasses import replace

import numpy as np
import pytest

from augment.json_objects import as_plain, from_json
from augment.presets import PRESETS
from augment.record_types import TrainingRecord
from augment.records import EXPORT, TRAINING, RunFolder
from augment.stages import pack
from tests.support.made_documents import made

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
