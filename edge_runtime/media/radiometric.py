"""Reads radiometric pictures: files whose pixels are measured values, such as temperatures, and no grey levels.

A file with one channel of more than 8 bits, of signed numbers or of floating-point numbers is one. Without a rule only
a 16-bit file that is plainly a photograph is read, and the others are refused: divided by 256, a fault of 45 K would
become 18 of 255 levels.
"""

import struct
from dataclasses import dataclass

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..bundle.radiometric import Known, RadiometricRule, Values, plain
from .image_headers import Header, damaged

PHOTOGRAPH_SPAN = 16384  # of 65536 values between the 1st and the 99th percentile; a sensor of 14 bits has fewer
NO_VALUE = 1e30  # numbers of this size and beyond stand for "no value" in geographic files; no thermometer shows them
CENTIKELVIN = (20000, 60000)  # -73 to 327 °C; whole numbers between these are likely hundredths of a kelvin
# JPEG marker, bytes at which a segment of measured values shows its maker, and those bytes: FLIR, InfiRay, and three
# generations of DJI. Source: ExifTool.
THERMAL_SEGMENTS = (
    (0xE1, 0, b"FLIR\0"),
    (0xE2, 4, b"IJPEG\0"),
    (0xE4, 0, b"\xaa\x55\x12\x06"),
    (0xE4, 32, b"\x2c\x01\x20\0"),
    (0xE4, 64, b"\x2c\x01\x20\0"),
    (0xE4, 32, b"\xaa\x55\x38\0"),
)


class UnscaledError(InputError):
    """A radiometric picture that no rule fits; `span` are its least and its greatest value."""

    def __init__(self, sentence: str, span: tuple[float, float]) -> None:
        super().__init__(sentence)
        self.span = span


@dataclass(frozen=True)
class Scaled:
    """A radiometric picture as grey levels: `frame` uint8 (H, W, 3), the `span` of its values, and what to note."""

    frame: Frame
    span: tuple[float, float]
    notes: tuple[str, ...] = ()


def holds_values(header: Header) -> bool:
    """Whether a file's pixels may be measured values instead of grey levels."""
    return header.kind != "JPEG" and (header.bits > 8 or header.sample != "unsigned")


def read_scaled(data: bytes, header: Header, rule: RadiometricRule | None) -> Scaled | None:
    """Scale the picture by `rule`; None for a colour picture, and without a rule for a photograph in 16 bits of grey.

    InputError is a predicate: for a picture that cannot be read, holds nothing, or has no rule.
    """
    values = _values(data, header)
    if values is None:
        return None
    known = _known(values, header.nodata)
    if not known.any():
        raise InputError("holds no value in any pixel; export it again")
    least, greatest = float(values[known].min()), float(values[known].max())
    held = f"one channel of {header.bits}-bit {_NUMBERS[header.sample]} from {plain(least)} to {plain(greatest)}"
    if least == greatest:
        raise InputError(f"holds the value {plain(least)} in every pixel (a closed shutter?); take or export it again")
    if rule is None:
        if _photograph(values):
            return None
        raise UnscaledError(_refusal(held, header, least, greatest), (least, greatest))
    levels = rule.levels(values, known)
    if levels[known].min() == levels[known].max():
        raise UnscaledError(
            f'holds {held}, which the rule "{rule}" makes one flat tone; expected values in its unit: export the '
            'picture in that unit, or train with another rule, such as "percentiles 1 99", which needs no unit',
            (least, greatest),
        )
    notes = [f'holds {held}, scaled by the rule "{rule}"']
    if missing := int(known.size - known.sum()):
        notes.append(f"holds no value in {missing} of {known.size} pixels, which are drawn black")
    return Scaled(cv2.cvtColor(levels, cv2.COLOR_GRAY2BGR), (least, greatest), tuple(notes))


def jpeg_holds_values(data: bytes) -> bool:
    """Whether a JPEG carries the measured values of a thermal camera beside its visible picture."""
    place = 2
    while data[place : place + 1] == b"\xff" and len(data) > place + 4:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xDA:  # the picture starts
            return False
        segments = (entry for entry in THERMAL_SEGMENTS if entry[0] == marker)
        if any(data.startswith(magic, place + 4 + offset) for _, offset, magic in segments):
            return True
        place += 2 + length
    return False


def _values(data: bytes, header: Header) -> Values | None:
    """Return the file's one channel, upright, in its own numbers; None where it has several that differ."""
    half = header.sample == "float" and header.bits == 16
    how = cv2.IMREAD_ANYDEPTH if header.channels == 1 else cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR_BGR
    values: Values | None
    try:
        values = cv2.imdecode(np.frombuffer(_as_whole(data) if half else data, np.uint8), how)
    except cv2.error:
        values = None
    if values is None:
        raise InputError(damaged(header))
    if values.ndim == 3:  # a grey picture may have been saved as colour, or with transparency
        if np.array_equal(values[..., 0], values[..., 1]) and np.array_equal(values[..., 0], values[..., 2]):
            return np.ascontiguousarray(values[..., 0])
        if header.sample == "unsigned" and header.bits <= 16:
            return None
        raise InputError(
            f"has {header.channels} channels of {header.bits}-bit {_NUMBERS[header.sample]}, expected one; "
            "export the temperatures alone"
        )
    if half:
        values = values.view(np.float16).astype(np.float32)
    return values


def _as_whole(data: bytes) -> bytes:
    """Return a TIFF that says its numbers are whole, since OpenCV reads no floating-point numbers of 16 bits."""
    order = "<" if data.startswith(b"II") else ">"
    said, meant = (struct.pack(order + "HHIHH", 339, 3, 1, sample, 0) for sample in (3, 1))
    return data.replace(said, meant)


def _known(values: Values, nodata: float | None) -> Known:
    """Return which pixels hold a value: finite, of a sensible size, and not what the file itself calls no value."""
    if values.dtype.kind == "f":
        known: Known = np.isfinite(values) & (np.abs(values) < NO_VALUE)
    else:
        known = np.ones(values.shape, np.bool_)
    return known if nodata is None else known & (values != nodata)


def _photograph(values: Values) -> bool:
    """Whether 16-bit values spread as widely as those of a photograph and no thermal sensor's do."""
    if values.dtype != np.uint16:
        return False
    low, high = RadiometricRule("percentiles", 1, 99).bounds(values.ravel())
    return high - low >= PHOTOGRAPH_SPAN


def _refusal(held: str, header: Header, least: float, greatest: float) -> str:
    kelvin = ""
    if header.sample != "float" and CENTIKELVIN[0] <= least <= greatest <= CENTIKELVIN[1]:
        low, high = (value / 100 - 273.15 for value in (least, greatest))
        kelvin = f" (if these are hundredths of a kelvin, {low:.1f} to {high:.1f} °C)"
    return (
        f"is a radiometric picture: it holds {held}{kelvin}, and no rule says which of them are black and white; "
        f'set [data] radiometric in pipeline.toml, such as "range {plain(least)} {plain(greatest)}" or '
        '"percentiles 1 99", and train a bundle with it, or give the 8-bit picture that the camera shows'
    )


_NUMBERS = {"unsigned": "whole numbers", "signed": "signed whole numbers", "float": "floating-point numbers"}
