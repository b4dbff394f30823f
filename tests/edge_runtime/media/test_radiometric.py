"""Radiometric files: which are recognised, in whose numbers they are read, and what is said of those that are not."""

import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.radiometric import RadiometricRule
from edge_runtime.media.image_files import decode_image, read_image
from edge_runtime.media.radiometric import UnscaledError
from tests.support.colour_bundle import make_bundle
from tests.support.pictures import RED, picture, pillow_bytes
from tests.support.tiff_files import tiff

CELSIUS = RadiometricRule.parse("range 20 90")
CENTIKELVIN = RadiometricRule.parse("range 29315 36315")  # the same in hundredths of a kelvin
PERCENTILES = RadiometricRule.parse("percentiles 1 99")


def scene(spot: float = 65.0) -> np.ndarray:
    """Degrees Celsius (48, 64): a gradient from 20 to 30, and a hot spot."""
    values = np.linspace(20, 30, 48 * 64).reshape(48, 64)
    values[10:16, 20:28] = spot
    return values


def centikelvin(values: np.ndarray, kind: type = np.uint16) -> np.ndarray:
    return np.round((values + 273.15) * 100).astype(kind)


def png(values: np.ndarray) -> bytes:
    return cv2.imencode(".png", values)[1].tobytes()


def pgm(values: np.ndarray, most: int = 65535) -> bytes:
    return b"P5\n# a camera\n%d %d\n%d\n" % (*values.shape[::-1], most) + values.astype(">u2").tobytes()


def expected(values: np.ndarray, rule: RadiometricRule) -> np.ndarray:
    return cv2.cvtColor(rule.levels(values, np.isfinite(values)), cv2.COLOR_GRAY2BGR)


WHOLE = centikelvin(scene())
FILES = {
    "PNG": (png(WHOLE), WHOLE, CENTIKELVIN),
    "PGM": (pgm(WHOLE), WHOLE, CENTIKELVIN),
    "TIFF": (tiff(WHOLE), WHOLE, CENTIKELVIN),
    "big-endian TIFF": (tiff(WHOLE, ">"), WHOLE, CENTIKELVIN),
    "tiled TIFF": (tiff(WHOLE, tile=16), WHOLE, CENTIKELVIN),
    "big-endian tiled floats": (tiff(scene().astype(np.float32), ">", tile=32), scene().astype(np.float32), CELSIUS),
    "LZW TIFF": (cv2.imencode(".tiff", WHOLE, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes(), WHOLE, CENTIKELVIN),
    "deflated floats": (
        cv2.imencode(".tiff", scene().astype(np.float32), [cv2.IMWRITE_TIFF_COMPRESSION, 8])[1].tobytes(),
        scene().astype(np.float32),
        CELSIUS,
    ),
    **{
        f"{np.dtype(kind)} TIFF": (tiff(scene().astype(kind)), scene().astype(kind), CELSIUS)
        for kind in (np.float16, np.float32, np.float64, np.int8, np.int16, np.int32)
    },
    "signed hundredths": (tiff((scene() * 100).astype(np.int16)), (scene() * 100).astype(np.int16), None),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("percentiles", [False, True])
def test_every_file_of_measured_values_is_scaled_in_its_own_numbers(name, percentiles):
    data, values, rule = FILES[name]
    rule = PERCENTILES if percentiles else rule or RadiometricRule.parse("range 2000 9000")
    image = decode_image(data, radiometric=rule)
    assert image.frame.dtype == np.uint8
    assert np.array_equal(image.frame, expected(values, rule))
    assert image.span == (values.min(), values.max())
    assert any(f'scaled by the rule "{rule}"' in note for note in image.notes)


@pytest.mark.parametrize("name", FILES)
def test_without_a_rule_it_is_refused_with_its_values_and_what_to_write(name):
    data, values, _ = FILES[name]
    with pytest.raises(UnscaledError, match="is a radiometric picture") as refused:
        decode_image(data)
    assert refused.value.span == (values.min(), values.max())
    assert f"from {values.min():.7g} to {values.max():.7g}" in str(refused.value)
    assert '"percentiles 1 99"' in str(refused.value)


def test_the_sentence_names_the_file_and_what_hundredths_of_a_kelvin_would_mean(tmp_path):
    (tmp_path / "busbar.png").write_bytes(png(WHOLE))
    with pytest.raises(InputError, match=r"^busbar.png is a radiometric .* 20.0 to 65.0 °C") as refused:
        read_image(tmp_path / "busbar.png")
    assert isinstance(refused.value.__cause__, UnscaledError)


def test_a_grey_photograph_in_16_bits_is_divided_by_256_and_one_with_a_rule_is_scaled():
    photograph = np.linspace(0, 65535, 48 * 64).astype(np.uint16).reshape(48, 64)
    image = decode_image(png(photograph))
    assert np.array_equal(image.frame[..., 0], (photograph >> 8).astype(np.uint8))
    assert image.notes == ("has 16 bits per channel, divided by 256, since its values spread as a photograph's do",)
    assert image.span is None
    assert decode_image(png(photograph), radiometric=PERCENTILES).span == (0, 65535)


def test_a_sensor_of_14_bits_that_uses_all_of_them_is_no_photograph():
    with pytest.raises(UnscaledError):
        decode_image(png(np.linspace(0, 16383, 48 * 64).astype(np.uint16).reshape(48, 64)))


def test_dead_pixels_do_not_make_a_photograph():
    dead = WHOLE.copy()
    dead[0, :20], dead[1, :20] = 0, 65535
    with pytest.raises(UnscaledError):
        decode_image(png(dead))


def test_colour_of_16_bits_is_no_radiometric_picture_and_three_equal_channels_are():
    colour = np.dstack([WHOLE, WHOLE, WHOLE])
    assert np.array_equal(decode_image(png(colour), radiometric=CENTIKELVIN).frame, expected(WHOLE, CENTIKELVIN))
    colour[..., 2] += 300
    image = decode_image(png(colour), radiometric=CENTIKELVIN)
    assert np.array_equal(image.frame, (colour >> 8).astype(np.uint8))
    assert image.span is None


def test_floats_in_three_channels_are_refused_by_name():
    data = cv2.imencode(".tiff", np.random.default_rng(0).random((20, 30, 3), np.float32))[1].tobytes()
    with pytest.raises(InputError, match="has 3 channels of 32-bit floating-point numbers, expected one"):
        decode_image(data, radiometric=CELSIUS)


def test_eight_bits_are_untouched_by_a_rule():
    for kind in ("PNG", "TIFF", "JPEG"):
        data = pillow_bytes(picture(RED), kind, "L")
        assert np.array_equal(decode_image(data, radiometric=CELSIUS).frame, decode_image(data).frame)


def test_pixels_without_a_value_are_black_and_told():
    values = scene().astype(np.float32)
    values[0, :5] = [np.nan, np.inf, -np.inf, -3.4e38, 1e30]
    image = decode_image(tiff(values), radiometric=PERCENTILES)
    assert image.frame[0, :5].max() == 0
    assert image.span == (np.float32(scene()[0, 5]), 65)
    assert "holds no value in 5 of 3072 pixels, which are drawn black" in image.notes


@pytest.mark.parametrize(("kind", "empty"), [(np.float32, -9999), (np.int16, -32768), (np.uint16, 0)])
def test_the_number_that_a_file_calls_no_value_is_none(kind, empty):
    values = (scene() * 100).astype(kind)
    values[:6] = empty
    assert decode_image(tiff(values), radiometric=PERCENTILES).span[0] == empty
    image = decode_image(tiff(values, nodata=str(empty)), radiometric=PERCENTILES)
    assert image.span[0] == values[6:].min()
    assert image.frame[:6].max() == 0
    assert image.frame[12, 24].tolist() == [255] * 3


def test_a_number_that_the_type_cannot_hold_is_no_value_of_the_file():
    image = decode_image(tiff(WHOLE, nodata="-9999"), radiometric=CENTIKELVIN)
    assert np.array_equal(image.frame, expected(WHOLE, CENTIKELVIN))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((20, 30), np.nan, np.float32), "holds no value in any pixel"),
        (np.full((20, 30), 30000, np.uint16), "holds the value 30000 in every pixel"),
        (WHOLE, 'from 29315 to 33815, which the rule "range 20 90" makes one flat tone'),
        (scene().astype(np.float32) / 1000, "makes one flat tone"),
    ],
)
def test_what_shows_nothing_or_has_another_unit_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        decode_image(tiff(values), radiometric=CELSIUS)


def test_a_damaged_file_is_damaged_whatever_the_rule():
    data = FILES["deflated floats"][0]
    for rule in (None, CELSIUS):
        with pytest.raises(InputError, match="damaged TIFF"):
            decode_image(data[:40] + bytes(500) + data[540:], radiometric=rule)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_picture_is_upright_by_exif(kind):
    exif, stored = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(WHOLE).save(stored, kind, exif=exif)
    image = decode_image(stored.getvalue(), radiometric=CENTIKELVIN)
    assert np.array_equal(image.frame, np.rot90(expected(WHOLE, CENTIKELVIN), -1))


SEGMENTS = {
    "FLIR": (0xE1, b"FLIR\0\1\0\0"),
    "InfiRay": (0xE2, b"\0\0\0\0IJPEG\0"),
    "DJI": (0xE4, b"\xaa\x55\x12\x06" + bytes(32)),
    "DJI M30T": (0xE4, bytes(32) + b"\xaa\x55\x38\0"),
    "DJI M3T": (0xE4, bytes(64) + b"\x2c\x01\x20\0"),
}


@pytest.mark.parametrize("maker", SEGMENTS)
def test_a_radiometric_jpeg_is_judged_by_its_visible_picture_and_told(maker):
    plain = pillow_bytes(picture(RED), "JPEG")
    marker, body = SEGMENTS[maker]
    data = plain[:2] + bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body + plain[2:]
    image = decode_image(data, radiometric=CELSIUS)
    assert np.array_equal(image.frame, decode_image(plain).frame)
    assert image.notes == ("holds radiometric data, which is not read; its visible picture is judged",)
    assert decode_image(plain).notes == ()


def classify(folder: Path, rule: RadiometricRule | None, *arguments: object) -> tuple[int, dict[str, object]]:
    """Run edge-classify with a bundle that has `rule`; return its exit code and its one result."""
    bundle = make_bundle(folder, ("fp32",), rule)
    command = [sys.executable, "-m", "edge_runtime.classify", "--bundle", str(bundle), "--format", "jsonl"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, json.loads(done.stdout)


def test_edge_classify_judges_by_the_bundles_rule_and_draws_what_was_judged(tmp_path):
    path = tmp_path / "busbar.tiff"
    path.write_bytes(tiff(WHOLE))
    code, result = classify(tmp_path / "bundle", CENTIKELVIN, path, "--heatmap", tmp_path / "maps")
    assert (code, result["status"]) == (0, "ok")
    frame = PreprocessSpec(8, 8).apply(expected(WHOLE, CENTIKELVIN))
    assert result["health"]["mean"] == pytest.approx(frame.mean(), abs=0.01)
    assert result["notes"][0].endswith('scaled by the rule "range 29315 36315"')
    assert cv2.imread(str(result["heatmap"])).shape == (48, 64, 3)


def test_edge_classify_without_a_rule_blames_neither_lens_nor_file(tmp_path):
    (tmp_path / "busbar.tiff").write_bytes(tiff(scene().astype(np.float32)))
    code, result = classify(tmp_path / "bundle", None, tmp_path / "busbar.tiff")
    assert (code, result["status"]) == (11, "not_evaluable")
    assert "radiometric picture" in result["reason"]
    assert "lens" not in result["reason"]
    assert "damaged" not in result["reason"]


def test_cold_equipment_is_dark_and_judged_and_what_shows_no_difference_is_told_without_a_lens(tmp_path):
    cold = np.linspace(20, 22, 48 * 64, dtype=np.float32).reshape(48, 64)
    cold[10:14, 20:24] = 30  # all is darker than a black picture of a camera
    (tmp_path / "cold.tiff").write_bytes(tiff(cold))
    assert classify(tmp_path / "bundle", CELSIUS, tmp_path / "cold.tiff")[0] == 0
    (tmp_path / "flat.tiff").write_bytes(tiff(cold.clip(20, 20.2)))
    code, result = classify(tmp_path / "bundle", CELSIUS, tmp_path / "flat.tiff")
    assert code == 11
    assert 'beyond the bundle\'s rule "range 20 90"' in result["reason"]
    assert "lens" not in result["reason"]
