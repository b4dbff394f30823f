"""Golden frames: what they must answer, and files about them that contradict themselves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import check_golden, load_golden, worst_difference
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import open_bundle, write_bundle_manifest
from tests.support import colour_bundle as maker
from tests.support import spot_bundle


def test_golden_frames_come_preprocessed_with_their_hand_computed_scores(packed: Path) -> None:
    golden = load_golden(open_bundle(packed))
    assert golden.views.shape == (5, 1, maker.SIDE, maker.SIDE, 3)
    assert golden.scores[1].tolist() == [0, 255 / 32, 0]


def test_the_worst_difference_is_the_largest_of_any_score(packed: Path) -> None:
    golden = load_golden(open_bundle(packed))
    moved = golden.scores.copy()
    moved[3, 1] -= 0.25
    assert worst_difference(lambda frames: moved, golden) == 0.25
    with pytest.raises(InputError, match=r"differ by 0\.25 on the golden frames, the bundle allows 0\.0001"):
        check_golden(lambda frames: moved, golden, "fp32")
    with pytest.raises(InputError, match="no tolerance for int8"):
        check_golden(lambda frames: moved, golden, "int8")


def test_a_score_that_is_missing_or_no_number_is_infinitely_wrong(packed: Path) -> None:
    golden = load_golden(open_bundle(packed))
    assert worst_difference(lambda frames: golden.scores[:, :2], golden) == float("inf")
    assert worst_difference(lambda frames: golden.scores * np.nan, golden) == float("inf")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: g.pop("tolerance"), "malformed"),
        (lambda g: g.update(frames=[]), "no usable frames"),
        (lambda g: g["frames"][0].update(file="../secret.png"), "does not list"),
        (lambda g: g["frames"][0].update(scores=[1]), "malformed"),
        (lambda g: g["frames"][0].update(label="leak"), "reports normal for golden frame 0, the bundle says leak"),
    ],
)
def test_a_golden_file_that_contradicts_itself_is_refused(bundle: Path, change: Any, sentence: str) -> None:
    path = bundle / "golden.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    manifest = Manifest.from_json(json.loads((bundle / "manifest.json").read_text()))
    write_bundle_manifest(bundle, manifest)  # the digests are right, the content is not
    with pytest.raises(InputError, match=sentence):
        load_golden(open_bundle(bundle))


def test_a_golden_frame_of_a_tiled_bundle_is_all_its_tiles_and_has_one_score(tmp_path: Path) -> None:
    golden = load_golden(open_bundle(spot_bundle.make_bundle(tmp_path, spot_bundle.TILED)))
    assert golden.views.shape == (5, 4, 16, 32, 3)
    assert golden.flat.shape == (20, 16, 32, 3)
    assert golden.scores.shape == (5, 3)
    assert check_golden(spot_bundle.expected_scores, golden, "fp32") < 1e-6
    with pytest.raises(InputError, match="scores differ by inf"):
        check_golden(lambda views: spot_bundle.expected_scores(views)[:5], golden, "fp32")
