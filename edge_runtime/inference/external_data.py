"""Finds ONNX files that keep weights in another file, without reading the weights that they hold themselves.

The structure is that of onnx.proto: ModelProto.graph is field 7, GraphProto.initializer field 5, TensorProto.raw_data
field 9. Whatever lies in raw_data is bytes for every reader, so it is passed over; all the rest is searched.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from ..bundle.errors import InputError

EXTERNAL_DATA = b"\x0a\x08location\x12"  # how a tensor's ONNX message names the file that holds its values
_PASSED_OVER = (7, 5, 9)  # fields that lead to raw_data, each inside the one before
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def check_self_contained(path: Path) -> None:
    """Refuse a model that keeps weights in another file: they would be read unverified, from wherever it says."""
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; pack the bundle again")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            pieces = [*_around(data, 0, len(data), _PASSED_OVER)]
        except (ValueError, IndexError):  # no ONNX file, or a damaged one: all of it is searched
            pieces = [(0, len(data))]
        if any(data.find(EXTERNAL_DATA, start, end) >= 0 for start, end in _joined(pieces)):
            raise InputError(f"{path} keeps weights in another file, which nobody verifies; pack the bundle again")


def _around(data: mmap.mmap, start: int, end: int, fields: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield the parts of the message from `start` to `end` that are not raw_data; ValueError where it is no message."""
    place = start
    while place < end:
        begin = place
        key, place = _varint(data, place)
        if key & 7 == _VARINT:
            _, place = _varint(data, place)
        elif key & 7 in (_FIXED64, _FIXED32):
            place += 8 if key & 7 == _FIXED64 else 4
        elif key & 7 == _BYTES:
            length, inside = _varint(data, place)
            place = inside + length
            if key >> 3 == fields[0] and place <= end:
                yield begin, inside
                yield from _around(data, inside, place, fields[1:]) if len(fields) > 1 else ()
                continue
        else:
            raise ValueError("a group, or no protobuf")
        if place > end:
            raise ValueError("a field that is longer than its message")
        yield begin, place


def _joined(pieces: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join what touches, so that nothing is missed where one part ends and the next begins."""
    start, end = pieces[0]
    for begin, stop in pieces[1:]:
        if begin != end:
            yield start, end
            start = begin
        end = stop
    yield start, end


def _varint(data: mmap.mmap, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError("a number of more than ten bytes")
