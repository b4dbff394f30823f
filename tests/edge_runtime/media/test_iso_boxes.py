"""Boxes are found by their lengths, of 32 and of 64 bits, and the last one may reach to the end of the file."""

import io
import struct

import pytest

from edge_runtime.media.heic_files import film_in
from edge_runtime.media.iso_boxes import boxes

FIRST = struct.pack(">I4s", 16, b"ftyp") + b"heic\0\0\0\0"
LONG = struct.pack(">I4sQ", 1, b"mdat", 24) + bytes(8)
LAST = struct.pack(">I4s", 0, b"mpvd") + b"film"


def found(data: bytes) -> list[tuple[int, int, bytes]]:
    return list(boxes(io.BytesIO(data), len(data)))


def test_each_box_has_its_place_and_length():
    assert found(FIRST + LONG + LAST) == [(0, 16, b"ftyp"), (16, 24, b"mdat"), (40, 12, b"mpvd")]


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0" + bytes(60), struct.pack(">I4s", 16, b"PK\3\4") + bytes(8)])
def test_other_files_have_none(data):
    assert found(data) == []


def test_a_length_that_makes_no_sense_ends_the_list():
    assert found(FIRST + struct.pack(">I4s", 3, b"free") + bytes(20)) == [(0, 16, b"ftyp")]


def test_the_film_of_a_motion_photo_begins_inside_its_box_whatever_lies_before():
    assert film_in(FIRST + LONG + LAST) == 48
    assert film_in(FIRST + LONG) is None
