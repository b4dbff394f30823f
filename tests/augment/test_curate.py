"""Curation on hashes and pictures whose right answer is known."""

from dataclasses import replace

import cv2
import numpy as np

from augment import curate
from augment.records import Document, RunFolder
from augment.settings import PRESETS, CurateSettings, DataSettings

SETTINGS = CurateSettings(blank_std=4, duplicate_bits=1, copy_bits=2, lookalike_bits=3)
FAR = 0xFFFF_FFFF_0000_0000


def real(split: str, phash: int) -> dict[str, str]:
    return {"split": split, "phash": f"{phash:016x}"}


def reasons(hashes, records=(), spreads=None):
    hashes = np.array(hashes, np.uint64)
    spreads = np.full(len(hashes), 50.0) if spreads is None else np.array(spreads)
    return curate.judge(hashes, spreads, records, SETTINGS)[0]


def test_a_picture_like_no_other_is_kept():
    assert reasons([FAR], [real("train", 0), real("test", 0)]) == [[]]


def test_blank_is_judged_by_brightness_and_bright_blanks_are_blank_too():
    assert reasons([FAR, 1], spreads=[3.9, 4.0]) == [[curate.BLANK], []]


def test_the_first_of_two_duplicates_stays():
    assert reasons([FAR, FAR ^ 0b1, FAR ^ 0b11]) == [[], [curate.DUPLICATE], []]


def test_a_rejected_image_is_no_original():
    assert reasons([0, 1], [real("train", 0b110)]) == [[curate.COPY], []]


def test_limits_are_inclusive_and_each_split_has_its_own():
    training, held_out = real("train", 0), real("val", 0)
    assert reasons([0b11], [training]) == [[curate.COPY]]
    assert reasons([0b111], [training]) == [[]]
    assert reasons([0b111], [held_out]) == [[curate.LOOKALIKE]]
    assert reasons([0b1111], [held_out]) == [[]]
    assert reasons([0b1], [training, held_out]) == [[curate.COPY, curate.LOOKALIKE]]


def test_a_rule_set_to_minus_one_is_off():
    off = replace(SETTINGS, duplicate_bits=-1, copy_bits=-1, lookalike_bits=-1)
    found, _ = curate.judge(
        np.array([0, 0], np.uint64), np.array([50.0, 50.0]), [real("train", 0), real("val", 0)], off
    )
    assert found == [[], []]


def test_distances_are_told():
    _, scores = curate.judge(np.array([0b111], np.uint64), np.array([50.0]), [real("train", 0)], SETTINGS)
    assert scores == [{"brightness_std": 50.0, "bits_to_training": 3, "bits_to_held_out": 64}]


def texture(seed: int) -> np.ndarray:
    return cv2.resize(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8), (64, 64))


def test_the_stage_reads_pictures_counts_reasons_and_says_what_is_missing(tmp_path):
    folder = RunFolder(tmp_path)
    pictures = {"a1": texture(1), "a2": texture(1), "a3": np.full((64, 64, 3), 255, np.uint8), "b1": texture(4)}
    records = []
    for name, picture in pictures.items():
        path = f"synthetic/images/{name[0]}/{name}.png"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / path), picture)
        records.append({"id": name, "label": name[0], "method": "text2img", "path": path, "blanked": None})
    records.append({"id": "b2", "label": "b", "method": "text2img", "path": None, "blanked": "blanked by the filter"})
    parent = folder.write(Document("dataset", None, {}, {}, [real("train", 0x0F0F_3C3C_5A5A_9696), real("test", FAR)]))
    for stage in ("captions", "prompts", "adapter"):
        parent = folder.write(Document(stage, parent.digest, {}, {}, []))
    summary = {"wanted": {"text2img": {"a": 3, "b": 2}}, "round": 1}
    folder.write(Document("synthetic", parent.digest, {}, {}, records, summary=summary))

    document = curate.run(replace(PRESETS["mini"], data=DataSettings(source="x")), folder)

    assert {record["id"]: record["kept"] for record in document.records} == {
        "a1": True,
        "a2": False,
        "a3": False,
        "b1": True,
        "b2": False,
    }
    assert document.summary["missing"] == {"a": 2, "b": 1}
    assert document.summary["rejected"] == {curate.BLANK: 1, curate.DUPLICATE: 1, "blanked by the filter": 1}
    assert curate.run(replace(PRESETS["mini"], data=DataSettings(source="x")), folder).version == 1
