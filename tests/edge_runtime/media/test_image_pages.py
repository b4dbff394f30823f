"""The pages of a file: all are found, and a file that lies about them does no harm."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.media.image_files import read_image, read_pages
from edge_runtime.media.image_pages import MAX_PAGES

LEVELS = (40, 120, 200)


def pages(kind: str, levels: tuple[int, ...] = LEVELS, size: tuple[int, int] = (64, 48), **options) -> bytes:
    made = [Image.new("RGB", size, (level, level, level)) for level in levels]
    for place, one in enumerate(made):
        one.putpixel((place, 0), (255, 0, 0))  # encoders join frames that are equal
    out = io.BytesIO()
    made[0].save(out, kind, save_all=True, append_images=made[1:], **options)
    return out.getvalue()


def saved(folder: Path, data: bytes, name: str = "a.bin") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize(
    ("kind", "options"),
    [("TIFF", {}), ("TIFF", {"big_tiff": True}), ("GIF", {}), ("WebP", {"lossless": True}), ("PNG", {}), ("MPO", {})],
)
def test_every_page_is_read(tmp_path, kind, options):
    found = list(read_pages(saved(tmp_path, pages(kind, **options))))
    assert [page.number for page in found] == [1, 2, 3]
    levels = [np.median(page.image.frame) for page in found if page.image]
    assert levels == pytest.approx(LEVELS, abs=3)
    assert np.median(read_image(tmp_path / "a.bin").frame) == pytest.approx(LEVELS[0], abs=3)


def test_a_file_of_one_page_has_no_page_number(tmp_path):
    for kind in ("TIFF", "GIF", "WebP", "PNG", "JPEG"):
        (page,) = read_pages(saved(tmp_path, pages(kind, (100,)) if kind != "JPEG" else jpeg()))
        assert (page.number, page.reason) == (None, None)


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (9, 9, 9)).save(out, "JPEG")
    return out.getvalue()


def test_a_page_that_cannot_be_read_is_told_and_the_others_are_read(tmp_path):
    data = bytearray(pages("TIFF", compression="tiff_lzw"))
    directory = int.from_bytes(data[4:8], "little")
    following = directory + 2 + 12 * int.from_bytes(data[directory : directory + 2], "little")
    second = int.from_bytes(data[following : following + 4], "little")
    for entry in range(int.from_bytes(data[second : second + 2], "little")):
        place = second + 2 + 12 * entry
        if data[place : place + 2] == (256).to_bytes(2, "little"):
            data[place + 8 : place + 12] = bytes(4)  # a width of nothing
    found = list(read_pages(saved(tmp_path, bytes(data))))
    assert [page.image is None for page in found] == [False, True, False]
    assert "a.bin is damaged: its header says 0 x 48 pixels" in str(found[1].reason)


def test_pages_that_are_announced_and_missing_are_told(tmp_path):
    data = pages("TIFF", (10, 20))
    directory = int.from_bytes(data[4:8], "little")
    following = directory + 2 + 12 * int.from_bytes(data[directory : directory + 2], "little")
    second = int.from_bytes(data[following : following + 4], "little")
    first, missing = read_pages(saved(tmp_path, data[:second]))
    assert (first.number, first.reason) == (1, None)
    assert missing.reason == "a.bin is cut off: a page that it announces is missing; copy it again"


def test_a_picture_of_an_mpo_that_lost_its_beginning_is_told(tmp_path):
    data = pages("MPO", (10, 20))
    second = data.rindex(b"\xff\xd8")
    damaged = data[:second] + bytes(100) + data[second + 100 :]
    first, lost = read_pages(saved(tmp_path, damaged))
    assert first.reason is None
    assert (lost.number, "was not looked at" in str(lost.reason)) == (2, True)
    (alone,) = read_pages(saved(tmp_path, data[:second]))  # an editor kept the list, and dropped what it lists
    assert alone.reason is None


def test_reduced_copies_of_a_page_are_no_pages(tmp_path):
    out = io.BytesIO()
    first, small = Image.new("RGB", (64, 48)), Image.new("RGB", (8, 6))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    first.save(out, "TIFF", save_all=True, append_images=[small])
    assert len(list(read_pages(saved(tmp_path, out.getvalue())))) == 1


def test_a_loop_of_pages_ends(tmp_path):
    data = bytearray(pages("TIFF", (10, 20)))
    directory = int.from_bytes(data[4:8], "little")
    following = directory + 2 + 12 * int.from_bytes(data[directory : directory + 2], "little")
    second = int.from_bytes(data[following : following + 4], "little")
    count = int.from_bytes(data[second : second + 2], "little")
    data[second + 2 + 12 * count : second + 6 + 12 * count] = directory.to_bytes(4, "little")
    assert len(list(read_pages(saved(tmp_path, bytes(data))))) == 2


def test_more_pages_than_are_judged_are_told(tmp_path):
    for kind in ("GIF", "TIFF"):
        levels = tuple(place % 250 for place in range(MAX_PAGES + 5))
        *read, last = read_pages(saved(tmp_path, pages(kind, levels, (210, 4))))
        assert len(read) == MAX_PAGES
        assert f"of which the first {MAX_PAGES} are read" in str(last.reason)


@pytest.mark.parametrize("kind", ["GIF", "WebP", "PNG"])
def test_a_cut_off_animation_is_one_line(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (4, 60, 80, 3)).astype(np.uint8)
    made = [Image.fromarray(one) for one in noise]
    out = io.BytesIO()
    made[0].save(out, kind, save_all=True, append_images=made[1:])
    (page,) = read_pages(saved(tmp_path, out.getvalue()[: len(out.getvalue()) * 3 // 4]))
    assert "is damaged" in str(page.reason).replace("is a damaged", "is damaged")
