"""A bundle holds what it promises to somebody who has none of our code."""

import shutil

import pytest

from benchmarks import outsider


def test_an_outsider_finds_what_the_manifest_says(packed):
    lines = outsider.check(packed)
    assert lines[1].startswith("17 golden frames")
    assert [line.split(":")[0] for line in lines[2:]] == ["model.fp32.onnx", "model.fp16.onnx"]


def test_an_outsider_finds_a_spatial_heads_score_in_its_map(spatial_packed):
    lines = outsider.check(spatial_packed)
    assert len(lines) == 4
    assert all("the pooled map gives the fault's score" in line for line in lines[2:])


def test_the_outsider_finds_a_changed_byte(packed, tmp_path):
    copy = shutil.copytree(packed, tmp_path / "bundle")
    data = bytearray((copy / "golden" / "00.png").read_bytes())
    data[-20] ^= 1
    (copy / "golden" / "00.png").write_bytes(data)
    with pytest.raises(AssertionError, match=r"golden/00\.png"):
        outsider.check(copy)
