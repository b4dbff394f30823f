"""The contract: each fact has its own check and its own sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_file
from edge_runtime.bundle.golden import check_golden, load_golden, worst_difference
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import open_bundle, write_bundle_manifest
from tests.support import colour_bundle as maker


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite the manifest."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_whole_bundle_opens(packed: Path) -> None:
    opened = open_bundle(packed)
    assert opened.manifest.labels == maker.LABELS
    assert opened.manifest.fault_labels == maker.FAULTS
    assert opened.digest == sha256_file(packed / "manifest.json")
    assert opened.model_path("fp16") == packed / "model.fp16.onnx"
    assert set(opened.manifest.files) == {
        *("model.fp32.onnx", "model.fp16.onnx", "golden.json"),
        *(f"golden/{place:02d}.png" for place in range(5)),
    }


def test_the_same_content_gives_the_same_bytes(packed: Path, bundle: Path) -> None:
    assert (packed / "manifest.json").read_bytes() == (bundle / "manifest.json").read_bytes()


def test_unknown_fields_are_kept_and_written_back(bundle: Path) -> None:
    edit(bundle, lambda m: m.update(format_version="1.7", colour_of_the_box="grey"))
    manifest = open_bundle(bundle).manifest
    assert manifest.extra == {"colour_of_the_box": "grey"}
    assert manifest.to_json()["colour_of_the_box"] == "grey"
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert write_bundle_manifest(bundle, manifest).files == manifest.files


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: m.update(format_version="2.0"), "has format_version 2.0, this rarefault reads 1.x"),
        (lambda m: m.pop("labels"), "has no 'labels'"),
        (lambda m: m.update(labels=["a", 1]), "expected a list of names"),
        (lambda m: m.update(opset="18"), "'opset' is '18', expected int"),
        (lambda m: m.update(precisions=["fp8"]), r"precisions are \['fp8'\], expected some of"),
        (lambda m: m["input"].pop("width"), "input has no 'width'"),
        (lambda m: m["decision"].pop("thresholds"), "decision has no 'thresholds'"),
        (lambda m: m["decision"].update(abstain={"below": 0.5}), "abstain rule, which this version cannot apply"),
        (lambda m: m["files"].update(x=3), "entry for x is 3"),
        (lambda m: m["files"].pop("model.fp16.onnx"), "promises fp16 but lists no model.fp16.onnx"),
        (lambda m: m["files"].update({"../x": m["files"]["golden.json"]}), r"'\.\./x', which lies outside"),
        (lambda m: m["files"].update({"/etc/passwd": m["files"]["golden.json"]}), "lies outside"),
        (lambda m: m["files"].update({"a\0b": m["files"]["golden.json"]}), "lies outside"),
        (lambda m: m["files"].update({"x.png": m["files"]["golden.json"]}), "x.png is missing, the manifest lists it"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_refused(bundle: Path, change: Any, sentence: str) -> None:
    edit(bundle, change)
    with pytest.raises(InputError, match=sentence):
        open_bundle(bundle)


def test_a_file_that_lost_its_end_is_refused_with_both_sizes(bundle: Path) -> None:
    model = bundle / "model.fp32.onnx"
    whole = model.stat().st_size
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"is {whole - 1} bytes, the manifest says {whole}"):
        open_bundle(bundle)


def test_one_flipped_bit_is_refused_with_both_digests(bundle: Path) -> None:
    model = bundle / "model.fp32.onnx"
    expected = sha256_file(model)
    model.write_bytes(bytes([model.read_bytes()[0] ^ 1]) + model.read_bytes()[1:])
    with pytest.raises(InputError, match=f"has sha256 {sha256_file(model)}, the manifest says {expected}"):
        open_bundle(bundle)


def test_a_link_out_of_the_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "golden.json").rename(tmp_path / "elsewhere.json")
    (bundle / "golden.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match="lies outside the bundle"):
        open_bundle(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_manifest_that_is_no_document_is_refused(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json"):
        open_bundle(bundle)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no bundle: it has no manifest\.json"):
        open_bundle(tmp_path)


def test_a_precision_that_is_not_there_names_those_that_are(packed: Path) -> None:
    with pytest.raises(InputError, match="holds no int8 model, it holds fp32, fp16"):
        open_bundle(packed).model_path("int8")


def test_golden_frames_come_preprocessed_with_their_hand_computed_logits(packed: Path) -> None:
    golden = load_golden(open_bundle(packed))
    assert golden.frames.shape == (5, maker.SIDE, maker.SIDE, 3)
    assert golden.logits[1].tolist() == [0, 255 / 32, 0]
    assert golden.labels == ("normal", "rust", "leak", "rust", "rust")


def test_the_worst_difference_is_the_largest_of_any_logit(packed: Path) -> None:
    golden = load_golden(open_bundle(packed))
    moved = golden.logits.copy()
    moved[3, 1] -= 0.25
    assert worst_difference(lambda frames: moved, golden) == 0.25
    with pytest.raises(InputError, match=r"differ by 0\.25 on the golden frames, the bundle allows 0\.0001"):
        check_golden(lambda frames: moved, golden, "fp32")
    with pytest.raises(InputError, match="no tolerance for int8"):
        check_golden(lambda frames: moved, golden, "int8")


def test_a_logit_that_is_missing_or_no_number_is_infinitely_wrong(packed: Path) -> None:
    golden = load_golden(open_bundle(packed))
    assert worst_difference(lambda frames: golden.logits[:, :2], golden) == float("inf")
    assert worst_difference(lambda frames: golden.logits * np.nan, golden) == float("inf")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: g.pop("tolerance"), "malformed"),
        (lambda g: g.update(frames=[]), "no usable frames"),
        (lambda g: g["frames"][0].update(file="../secret.png"), "does not list"),
        (lambda g: g["frames"][0].update(logits=[1]), "malformed"),
        (lambda g: g["frames"][0].update(label="leak"), "reports normal for golden frame 0, the bundle says leak"),
    ],
)
def test_a_golden_file_that_contradicts_itself_is_refused(bundle: Path, change: Any, sentence: str) -> None:
    path = bundle / "golden.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    write_bundle_manifest(bundle, open_manifest(bundle))  # the digests are right, the content is not
    with pytest.raises(InputError, match=sentence):
        load_golden(open_bundle(bundle))


def open_manifest(bundle: Path) -> Manifest:
    return Manifest.from_json(json.loads((bundle / "manifest.json").read_text()))
