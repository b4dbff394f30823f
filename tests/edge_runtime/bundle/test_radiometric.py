"""The rule for radiometric pictures: its arithmetic on paper, what it refuses, and what a bundle says of it."""

import json

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.radiometric import RadiometricRule
from tests.support.colour_bundle import make_bundle


def levels(rule: str, values: np.ndarray, known: np.ndarray | None = None) -> list[int]:
    found = RadiometricRule.parse(rule).levels(values, np.ones(values.shape, bool) if known is None else known)
    assert found.dtype == np.uint8
    return found.ravel().tolist()


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_a_range_maps_its_ends_to_black_and_white_and_rounds_half_up(kind):
    # 255 levels over 0 to 510: two units a level, so 1 is half a level and rounds up.
    assert levels("range 0 510", np.array([[0, 1, 2, 3, 509, 510]], kind)) == [0, 1, 1, 2, 255, 255]


def test_what_lies_beyond_the_range_is_black_or_white():
    assert levels("range 20 90", np.array([[-40.0, 19.9, 20.0, 90.0, 300.0]], np.float32)) == [0, 0, 0, 255, 255]


def test_a_spot_of_45_kelvin_is_164_levels_where_dividing_by_256_left_17():
    values = np.array([[29315, 33815]], np.uint16)  # 20 and 65 °C in hundredths of a kelvin
    low, high = levels("range 29315 36315", values)  # 20 to 90 °C
    assert high - low == 164  # 4500 * 255 / 7000 = 163.9
    assert (values >> 8).ravel().tolist() == [114, 132]


def test_percentiles_are_values_of_the_picture_itself():
    values = np.arange(101, dtype=np.float32)[None]
    assert RadiometricRule.parse("percentiles 10 90").bounds(values.ravel() / 3) == (np.float32(10) / 3, 30)
    assert levels("percentiles 10 90", values)[10] == 0
    assert levels("percentiles 10 90", values)[50] == 128  # halfway: 127.5 rounds up
    assert levels("percentiles 10 90", values)[90] == 255


def test_the_place_of_a_percentile_rounds_half_up():
    # Of 3 values the 25th percentile lies at place 0.5, which is 1; the 100th at place 2.
    assert RadiometricRule.parse("percentiles 25 100").bounds(np.array([7, 5, 6])) == (6, 7)


def test_percentiles_of_a_picture_with_one_value_divide_by_nothing():
    with np.errstate(all="raise"):
        assert levels("percentiles 1 99", np.full((4, 4), 30000, np.uint16)) == [0] * 16
        spot = np.full((20, 20), 30000, np.uint16)
        spot[3, 3] = 34500
        assert sorted(levels("percentiles 1 99", spot)) == [0] * 399 + [255]


def test_pixels_without_a_value_are_black_and_move_no_percentile():
    values = np.array([[np.nan, 1, 2, 3, np.inf]], np.float32)
    with np.errstate(all="raise"):
        assert levels("percentiles 0 100", values, np.isfinite(values)) == [0, 0, 128, 255, 0]


def test_levels_do_not_depend_on_the_byte_order_of_the_values():
    values = np.random.default_rng(0).normal(30, 9, (37, 41)).astype(np.float32)
    for rule in ("range 20 90", "percentiles 1 99"):
        assert levels(rule, values) == levels(rule, values.astype(">f4")) == levels(rule, values.astype(np.float64))


WRONG = """
range | range 20 | range a b | range 90 20 | range 20 20 | range 0 inf | range nan 1 | 20 90 | range 1 2 3
| percentiles -1 99 | percentiles 1 101 | percentiles 99 1 | celsius 20 90
"""


@pytest.mark.parametrize("text", [text.strip() for text in WRONG.split("|")])
def test_what_is_no_rule_is_refused_with_the_two_that_are(text):
    with pytest.raises(InputError, match="expected") as refused:
        RadiometricRule.parse(text)
    assert "LOW" in str(refused.value)


@pytest.mark.parametrize("text", ["range 20 90", "range -20.5 1e6", "percentiles 0.5 99.5"])
def test_a_rule_survives_settings_manifest_and_words(text):
    rule = RadiometricRule.parse(text)
    assert RadiometricRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert RadiometricRule.parse(str(rule)) == rule


@pytest.mark.parametrize(
    "damaged", [None, "range 20 90", {}, {"rule": "range", "low": "20", "high": 90}, {"rule": "x", "low": 1, "high": 2}]
)
def test_a_damaged_rule_of_a_manifest_is_refused(damaged):
    with pytest.raises(InputError, match="radiometric"):
        RadiometricRule.from_json(damaged)


def test_a_bundle_with_a_rule_requires_a_reader_that_knows_it(tmp_path):
    rule = RadiometricRule.parse("range 20 90")
    document = json.loads((make_bundle(tmp_path, radiometric=rule) / "manifest.json").read_text())
    assert document["requires"] == ["class-head", "radiometric"]
    assert document["input"]["radiometric"] == {"rule": "range", "low": 20.0, "high": 90.0}
    assert Manifest.from_json(document).input.radiometric == rule
    document["requires"].append("x-rays")  # how an older version meets a word that it does not know
    with pytest.raises(InputError, match=r"requires x-rays, .* upgrade rarefault"):
        Manifest.from_json(document)


def test_a_bundle_without_a_rule_says_nothing_of_radiometric_pictures(tmp_path):
    assert b"radiometric" not in (make_bundle(tmp_path) / "manifest.json").read_bytes()
    assert list(PreprocessSpec(8, 8).to_json()) == ["height", "width", "resize", "colour", "decode", "tiles", "overlap"]
    assert PreprocessSpec.from_json(PreprocessSpec(8, 8).to_json()).radiometric is None
