"""Bundles on disk: every file is verified before any of it is used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_file
from edge_runtime.bundle.store import open_bundle
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


def test_a_file_that_is_digested_late_is_refused_when_it_is_given_and_others_are_not(bundle: Path) -> None:
    model = bundle / "model.fp32.onnx"
    model.write_bytes(bytes([model.read_bytes()[0] ^ 1]) + model.read_bytes()[1:])
    opened = open_bundle(bundle, whole=False)
    assert opened.model_path("fp16") == bundle / "model.fp16.onnx"
    for _ in range(2):
        with pytest.raises(InputError, match=f"{model} has sha256"):
            opened.model_path("fp32")


def test_a_small_file_and_a_missing_end_are_refused_at_once_even_where_digests_come_late(bundle: Path) -> None:
    golden = bundle / "golden.json"
    whole = golden.read_bytes()
    golden.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(InputError, match=f"{golden} has sha256"):
        open_bundle(bundle, whole=False)
    golden.write_bytes(whole)
    model = bundle / "model.fp16.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{model} is .* bytes"):
        open_bundle(bundle, whole=False)


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
    (tmp_path / "manifest.json").touch()
    with pytest.raises(InputError, match=r"manifest\.json is no bundle: it is a file; give the folder"):
        open_bundle(tmp_path / "manifest.json")
    with pytest.raises(InputError, match="it is not there"):
        open_bundle(tmp_path / "gone")


def test_a_precision_that_is_not_there_names_those_that_are(packed: Path) -> None:
    with pytest.raises(InputError, match="holds no int8 model, it holds fp32, fp16"):
        open_bundle(packed).model_path("int8")
