"""Writes TIFF files of measured values that neither OpenCV nor Pillow writes: byte orders, tiles, any number type."""

import struct

import numpy as np

SAMPLES = {"u": 1, "i": 2, "f": 3}


def tiff(values: np.ndarray, order: str = "<", tile: int = 0, nodata: str = "") -> bytes:
    """Return a TIFF of the values (H, W) in their own type, in one strip or in square tiles of `tile` pixels.

    `order` is "<" for little and ">" for big endian; `nodata` is the text of the tag GDAL_NODATA.
    """
    height, width = values.shape
    stored = values.astype(values.dtype.newbyteorder(order))
    parts = [stored.tobytes()]
    if tile:
        padded = np.zeros((-(-height // tile) * tile, -(-width // tile) * tile), stored.dtype)
        padded[:height, :width] = stored
        rows, columns = (range(0, size, tile) for size in padded.shape)
        parts = [padded[y : y + tile, x : x + tile].tobytes() for y in rows for x in columns]
    places = 8 + np.cumsum([0, *(len(part) for part in parts)])
    sizes = [len(part) for part in parts]
    tags = {256: width, 257: height, 258: 8 * values.dtype.itemsize, 259: 1, 262: 1, 277: 1}
    where = {322: tile, 323: tile, 324: places[:-1], 325: sizes} if tile else {273: 8, 278: height, 279: sizes[0]}
    tags |= where | {339: SAMPLES[values.dtype.kind]}
    entries, beyond = b"", b""
    start = int(places[-1])
    after = start + 2 + 12 * (len(tags) + bool(nodata)) + 4
    for tag, value in sorted(tags.items()):
        numbers = np.atleast_1d(value).astype(order + "u4").tobytes()
        kind, count = 4, len(numbers) // 4
        if tag == 339:  # a short, as every program writes it
            kind, numbers = 3, struct.pack(order + "HH", int(value), 0)
        if len(numbers) > 4:
            beyond, numbers = beyond + numbers, struct.pack(order + "I", after + len(beyond))
        entries += struct.pack(order + "HHI", tag, kind, count) + numbers
    if nodata:
        text = nodata.encode() + b"\0" * (8 - len(nodata))
        entries += struct.pack(order + "HHII", 42113, 2, 8, after + len(beyond))
        beyond += text
    count = struct.pack(order + "H", len(tags) + bool(nodata))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return head + b"".join(parts) + count + entries + bytes(4) + beyond
