"""The manifest: what it keeps, and what cannot be followed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.manifest import Manifest, SmallestFault
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.store import open_bundle, write_bundle_manifest


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite the manifest."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_unknown_fields_are_kept_and_written_back(bundle: Path) -> None:
    edit(bundle, lambda m: m.update(format_version="2.7", colour_of_the_box="grey"))
    manifest = open_bundle(bundle).manifest
    assert manifest.extra == {"colour_of_the_box": "grey"}
    assert manifest.to_json()["colour_of_the_box"] == "grey"
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert write_bundle_manifest(bundle, manifest).files == manifest.files


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda m: m.update(format_version="1.1"),
            "has format_version 1.1, this rarefault reads 2.x; pack it again from its",
        ),
        (
            lambda m: m.update(format_version="3.0"),
            "has format_version 3.0, this rarefault reads 2.x; install the rare",
        ),
        (
            lambda m: m.update(requires=["class-head", "smell"]),
            "the bundle requires smell, this rarefault is capable of",
        ),
        (lambda m: m.pop("head"), "has no 'head'"),
        (lambda m: m.update(head={"kind": "mesh"}), "the head is 'mesh', this version knows"),
        (lambda m: m["input"].update(resize="letterbox", tiles=[1, 2]), "has tiles and the class head"),
        (lambda m: m["metrics"].update(support={"rust": True}), "metrics.support is"),
        (lambda m: m["metrics"].update(smallest_fault=3), "metrics.smallest_fault is 3"),
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


def test_it_tells_what_its_reader_must_be_capable_of(packed: Path) -> None:
    manifest = open_bundle(packed).manifest
    assert manifest.to_json()["requires"] == ["class-head"]
    letterboxed = replace(manifest, input=PreprocessSpec(8, 8, "letterbox"))
    assert letterboxed.to_json()["requires"] == ["class-head", "letterbox"]


def test_what_validation_said_of_faults_is_read_from_the_metrics(packed: Path) -> None:
    manifest = open_bundle(packed).manifest
    assert (manifest.supported, manifest.doubts("leak"), manifest.smallest_fault) == ({}, [], None)
    support = {"rust": {"supported": True, "why": "it falls"}, "leak": {"supported": False, "why": "it stays"}}
    told = replace(manifest, metrics={"support": support, "smallest_fault": {"pixels": 12.5, "recall": 0.9}})
    assert told.supported == {"rust": True, "leak": False}
    assert (told.doubts("rust"), told.doubts("leak")) == ([], ["it stays"])
    assert told.smallest_fault == SmallestFault(12.5, recall=0.9)
    assert Manifest.from_json(told.to_json()) == told


def open_manifest(bundle: Path) -> Manifest:
    return Manifest.from_json(json.loads((bundle / "manifest.json").read_text()))
