"""HEIC: upright, all pictures of a file, eight bits; and a sentence where its library is not installed."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle.errors import InputError
from edge_runtime.media.image_files import read_image, read_pages
from tests.support import ROOT

WITHOUT = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "pillow_heif" else find(name, *rest)
from pathlib import Path
from edge_runtime.media.file_kinds import file_kind
from edge_runtime.media.image_files import read_image
print(file_kind(Path(sys.argv[1])).kind.value)
read_image(Path(sys.argv[1]))
"""


@pytest.fixture
def heif():
    return pytest.importorskip("pillow_heif", reason="pillow-heif is not installed (pip install 'rarefault[heic]')")


def halves(left: int, right: int) -> Image.Image:
    pixels = np.full((48, 64, 3), left, np.uint8)
    pixels[:, 32:] = right
    return Image.fromarray(pixels)


def test_a_picture_comes_upright_with_its_colours(heif, tmp_path):
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, 32:] = (220, 30, 30)  # red in RGB
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / "plain.heic", quality=95)
    turned = heif.from_pillow(Image.fromarray(pixels))
    turned.save(tmp_path / "turned.heic", quality=95, exif=exif.tobytes())
    plain = read_image(tmp_path / "plain.heic")
    assert (plain.kind, plain.notes, plain.frame.shape) == ("HEIC", (), (48, 64, 3))
    assert np.abs(plain.frame[24, 56].astype(int) - (30, 30, 220)).max() < 12
    upright = read_image(tmp_path / "turned.heic").frame
    assert np.array_equal(upright.shape, (64, 48, 3))
    assert upright[56, 24, 2] > 180 > 60 > upright[8, 24, 2]  # what was right is below


def test_every_picture_of_a_file_is_read_the_main_one_first(heif, tmp_path):
    file = heif.from_pillow(halves(40, 40))
    file.add_from_pillow(halves(200, 200))
    file.save(tmp_path / "burst.heic", quality=95, primary_index=1)
    found = list(read_pages(tmp_path / "burst.heic"))
    assert [page.number for page in found] == [1, 2]
    assert [float(page.image.frame.mean()) for page in found if page.image] == pytest.approx([200, 40], abs=4)
    assert read_image(tmp_path / "burst.heic").frame.mean() == pytest.approx(200, abs=4)


@pytest.mark.parametrize("bits", [10, 12])
def test_more_than_eight_bits_become_eight(heif, tmp_path, bits):
    level = (1 << bits) * 150 // 256
    wide = np.full((48, 64, 3), level << (16 - bits), "<u2")
    file = heif.from_bytes("RGB;16", (64, 48), wide.tobytes())
    heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    file.save(tmp_path / "deep.heic", quality=95)
    assert read_image(tmp_path / "deep.heic").frame.mean() == pytest.approx(150, abs=3)


def test_grey_and_transparent_pictures_become_three_channels(heif, tmp_path):
    for mode in ("L", "LA", "RGBA"):
        heif.from_pillow(Image.new(mode, (64, 48), (128,) * len(Image.new(mode, (1, 1)).getbands()))).save(
            tmp_path / "a.heic", quality=95
        )
        assert read_image(tmp_path / "a.heic").frame.shape == (48, 64, 3)


def test_a_cut_off_file_is_a_sentence(heif, tmp_path):
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    heif.from_pillow(Image.fromarray(noise)).save(out)
    for share in (0.02, 0.3, 0.8):
        (tmp_path / "cut.heic").write_bytes(out.getvalue()[: int(len(out.getvalue()) * share)])
        with pytest.raises(InputError, match=r"cut\.heic is a damaged HEIC"):
            read_image(tmp_path / "cut.heic")


def test_without_the_library_the_sentence_says_how_to_get_it(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    command = [sys.executable, "-c", WITHOUT, str(tmp_path / "a.heic")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == "unread picture"
    assert "a.heic is HEIC" in done.stderr
    assert "pip install 'rarefault[heic]'" in done.stderr
