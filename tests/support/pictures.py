"""Pictures for the tests: good ones whose colour bundle answer is known, and hostile files."""

import io
import os
import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

GREEN, RED, BLUE = (0, 255, 0), (0, 0, 255), (255, 0, 0)  # BGR


def picture(colour: tuple[int, int, int], height: int = 48, width: int = 64) -> np.ndarray:
    """Left half at half strength, right half at full: not blank, and a flat colour on either side."""
    frame = np.full((height, width, 3), colour, np.uint8)
    frame[:, : width // 2] //= 2
    return frame


def write(path: Path, frame: np.ndarray) -> Path:
    """By OpenCV, in the format of the suffix."""
    path.write_bytes(cv2.imencode(path.suffix, frame)[1].tobytes())
    return path


def pillow_bytes(frame: np.ndarray, kind: str, mode: str = "RGB", **options: object) -> bytes:
    """By Pillow: what OpenCV cannot write."""
    out = io.BytesIO()
    Image.fromarray(frame[..., ::-1].copy()).convert(mode).save(out, kind, **options)
    return out.getvalue()


def png_chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    """`length` is what the chunk claims, the truth by default."""
    claimed = len(data) if length is None else length
    return struct.pack(">I", claimed) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG of a given header and whatever chunks follow it."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def huge_png(side: int = 30_000) -> bytes:
    """Whole and valid: side x side black pixels at one bit each, about 110 kB."""
    row = bytes(1 + -(-side // 8))
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    return png(side, side, png_chunk(b"IDAT", data), png_chunk(b"IEND", b""), bits=1, colour=0)


def chunk_bomb() -> bytes:
    """57 bytes that make a trusting decoder allocate two gigabytes."""
    return png(2, 2, png_chunk(b"tEXt", b"", 0x7FFFFFFF), bytes(12))


def animated_gif() -> bytes:
    """Red, then green, then blue."""
    frames = [Image.fromarray(picture(colour)[..., ::-1].copy()) for colour in (RED, GREEN, BLUE)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


def make_hostile(folder: Path) -> dict[str, str]:
    """Fill `folder` with what must never crash a run; name -> words of the expected reason, "" where it is fine."""
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    files = {
        "animated.gif": (animated_gif(), ""),
        "bomb57.png": (chunk_bomb(), "claims 2147483647 bytes"),
        "cmyk.jpg": (pillow_bytes(picture(RED), "JPEG", "CMYK"), ""),
        "gif.jpg": (animated_gif(), ""),
        "header30000.png": (png(30_000, 30_000, png_chunk(b"IDAT", b"x"), png_chunk(b"IEND", b"")), "30000 x 30000"),
        "huge.png": (huge_png(), "30000 x 30000"),
        "sixteen.png": (cv2.imencode(".png", picture(RED).astype(np.uint16) * 257)[1].tobytes(), ""),
        "text.jpg": (b"no picture at all\n", "no image"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "damaged"),
        "zero.jpg": (b"", "empty"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "around").symlink_to(folder, target_is_directory=True)
    odd = {"folder.png": "a folder", "pipe.png": "no regular file", "loop.png": "symbolic links"}
    return {name: reason for name, (_, reason) in files.items()} | odd


def raw_avi(frames: list[np.ndarray], rate: int = 5) -> bytes:
    """Plain uncompressed bottom-up AVI: well-formed, yet some OpenCV wheels abort the process on it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data

    def group(kind: bytes, *parts: bytes) -> bytes:
        return chunk(b"LIST", kind + b"".join(parts))

    height, width = frames[0].shape[:2]
    size, count = width * height * 3, len(frames)
    avih = struct.pack("<14I", 1_000_000 // rate, size * rate, 0, 0x10, count, 0, 1, size, width, height, 0, 0, 0, 0)
    rectangle = struct.pack("<4H", 0, 0, width, height)
    strh = b"vidsDIB " + struct.pack("<IHHIIIIIIiI", 0, 0, 0, 0, 1, rate, 0, count, size, -1, 0) + rectangle
    strf = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, 0, 0, 0, 0)
    head = group(b"hdrl", chunk(b"avih", avih), group(b"strl", chunk(b"strh", strh), chunk(b"strf", strf)))
    body = head + group(b"movi", *(chunk(b"00db", frame[::-1].tobytes()) for frame in frames))
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"AVI " + body


def mjpeg_avi(path: Path, colours: list[tuple[int, int, int]], rate: int = 10) -> Path:
    """One second of each colour."""
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48))
    for colour in colours:
        for _ in range(rate):
            out.write(picture(colour))
    out.release()
    return path


def interlaced_video(path: Path) -> Path:
    """Write an MPEG-2 video that says of each of its pictures that it is made of two halves."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mpg2"), 25, (64, 64))
    for _ in range(30):
        writer.write(picture(GREEN, 64, 64))
    writer.release()
    data = bytearray(path.read_bytes())
    for found in re.finditer(re.escape(b"\0\0\1\xb5"), bytes(data)):
        extension = data[found.end()] >> 4
        if extension == 1:
            data[found.end() + 1] &= ~0x08  # progressive_sequence
        elif extension == 8:
            data[found.end() + 4] &= ~0x80  # progressive_frame
    path.write_bytes(data)
    return path
