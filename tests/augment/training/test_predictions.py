"""predictions.json: what is written, byte for byte, and that it comes back."""

import json

import numpy as np

from augment.training.predictions import PREDICTIONS_FILE, Predictions, read_predictions, write_predictions


def test_predictions_come_back_as_they_were_written(tmp_path):
    logits = np.array([[0.1, -2.0], [3.0, 1e-7]], np.float32)
    write_predictions(tmp_path, Predictions(("größe", "ok"), ["a", "b"], np.array([1, 0]), logits))
    images = [
        {"id": "a", "label": "ok", "logits": [float(np.float32(0.1)), -2.0]},
        {"id": "b", "label": "größe", "logits": [3.0, float(np.float32(1e-7))]},
    ]
    text = json.dumps({"labels": ["größe", "ok"], "images": images}, indent=1, ensure_ascii=False) + "\n"
    assert (tmp_path / PREDICTIONS_FILE).read_text() == text
    found = read_predictions(tmp_path)
    assert (found.labels, list(found.ids), found.targets.tolist()) == (("größe", "ok"), ["a", "b"], [1, 0])
    assert np.array_equal(found.logits, logits)
    assert found.predicted.tolist() == [0, 0]
