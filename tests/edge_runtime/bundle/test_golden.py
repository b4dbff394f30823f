"""Golden frames: what they must answer, and files about them that contradict themselves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import (
    FileAnswers,
    GoldenSet,
    check_golden,
    check_outputs,
    check_truths,
    load_golden,
    worst_difference,
)
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


def rewritten(bundle: Path, change: Any) -> GoldenSet:
    """The golden frames of a bundle whose golden.json was changed and signed again."""
    document = json.loads((bundle / "golden.json").read_text())
    change(document)
    (bundle / "golden.json").write_text(json.dumps(document))
    write_bundle_manifest(bundle, Manifest.from_json(json.loads((bundle / "manifest.json").read_text())))
    return load_golden(open_bundle(bundle))


def test_a_device_that_preprocesses_otherwise_is_found_by_the_sketches(bundle: Path) -> None:
    def moved(document: Any) -> None:
        document["frames"][4]["sketch"][0] += 400  # of 8 x 8 x 3 pixels: 10 levels

    with pytest.raises(InputError, match=r"preprocesses golden frame 4 otherwise .* its pixels are 10.2 levels apart"):
        rewritten(bundle, moved)


def test_golden_frames_of_older_bundles_have_neither_sketches_nor_truths(bundle: Path) -> None:
    def older(document: Any) -> None:
        del document["answers"]
        for entry in document["frames"]:
            del entry["sketch"]
            entry.pop("truth", None)

    golden = rewritten(bundle, older)
    assert (golden.truths, dict(golden.answers)) == (("",) * 5, {})
    check_truths(golden, maker.FAULTS)  # nothing is known, so nothing contradicts


def test_a_file_is_compared_with_its_own_answers_on_the_typical_frame(packed: Path) -> None:
    golden = load_golden(open_bundle(packed))
    golden = replace(golden, tolerance={"int8": 9.0}, answers={"int8": FileAnswers(golden.scores, 0.1)})

    def answers(scores: np.ndarray) -> dict[str, np.ndarray]:
        return {"logits": scores, "cam": scores[:, :, None, None]}

    one_frame_far_off = golden.scores.copy()
    one_frame_far_off[2] += 3
    assert check_outputs(answers(one_frame_far_off), golden, "int8", "int8") == 3
    with pytest.raises(
        InputError, match=r"int8 file answers otherwise here .* by 0\.2 on the typical golden frame, 0\.1"
    ):
        check_outputs(answers(golden.scores + 0.2), golden, "int8", "int8")
    assert check_outputs(answers(golden.scores + 0.2), golden, "int8", "int8.trt") == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("told", "seen", "sentence"),
    [
        ("normal rust leak", "normal rust leak", ""),
        ("normal normal leak normal", "normal rust leak rust", ""),  # weak, and no more than that
        ("normal rust rust", "normal rust leak", ""),
        ("normal leak rust", "normal rust leak", "in each other's place: rust, leak"),
        ("rust leak normal", "normal rust leak", "in each other's place: normal, rust, leak"),
        ("leak leak leak leak leak leak", "normal rust leak normal rust normal", "every golden frame faulty"),
        (
            "normal normal normal normal normal normal",
            "normal rust leak normal rust normal",
            "every golden frame healthy",
        ),
        ("normal normal normal normal", "normal rust leak normal", ""),  # two frames with a fault say too little
        ("leak leak", "rust leak", ""),  # nobody saw a healthy one
        ("normal leak rust leak rust rust", "normal rust leak rust leak leak", "in each other's place"),
        ("normal leak rust rust rust leak", "normal rust leak rust rust leak", ""),  # the one mistake of several
    ],
)
def test_what_persons_saw_tells_mixed_up_labels_from_a_weak_model(
    packed: Path, told: str, seen: str, sentence: str
) -> None:
    golden = load_golden(open_bundle(packed))
    golden = replace(golden, labels=tuple(told.split()), truths=tuple(seen.split()))
    if not sentence:
        check_truths(golden, maker.FAULTS)
        return
    with pytest.raises(InputError, match=sentence):
        check_truths(golden, maker.FAULTS)


def test_a_golden_frame_of_a_tiled_bundle_is_all_its_tiles_and_has_one_score(tmp_path: Path) -> None:
    golden = load_golden(open_bundle(spot_bundle.make_bundle(tmp_path, spot_bundle.TILED)))
    assert golden.views.shape == (5, 4, 16, 32, 3)
    assert golden.flat.shape == (20, 16, 32, 3)
    assert golden.scores.shape == (5, 3)
    assert check_golden(spot_bundle.expected_scores, golden, "fp32") < 1e-6
    with pytest.raises(InputError, match="scores differ by inf"):
        check_golden(lambda views: spot_bundle.expected_scores(views)[:5], golden, "fp32")
