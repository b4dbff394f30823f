"""The file of resized frames: decoded once, finished after a kill, made anew for other content."""

from types import SimpleNamespace

import numpy as np
import pytest

from augment.training.frame_cache import ROWS_BETWEEN_MARKS, cached_frames
from edge_runtime.bundle.preprocess import PreprocessSpec
from tests.support.drawn_run import Killed

SPEC = PreprocessSpec(2, 2)
RECORDS = [SimpleNamespace(id=str(number)) for number in range(ROWS_BETWEEN_MARKS + 5)]


class Decoder:
    """Gives frames whose grey level is the image's number, notes them, and dies at one of them."""

    def __init__(self, dies_at: int = -1) -> None:
        self.dies_at, self.opened = dies_at, set()

    def __call__(self, record):
        number = int(record.id)
        if number == self.dies_at:
            raise Killed
        self.opened.add(number)
        return np.full((4, 4, 3), number % 256, np.uint8)


def levels(folder, decoder, key="k"):
    return cached_frames(folder, RECORDS, SPEC, decoder, key, "images")[:, 0, 0, 0].tolist()


def test_frames_are_decoded_once_and_then_mapped(tmp_path):
    first, second = Decoder(), Decoder()
    expected = [number % 256 for number in range(len(RECORDS))]
    assert levels(tmp_path, first) == levels(tmp_path, second) == expected
    assert (len(first.opened), len(second.opened)) == (len(RECORDS), 0)


def test_a_killed_decoding_goes_on_after_its_last_whole_block(tmp_path):
    with pytest.raises(Killed):
        levels(tmp_path, Decoder(dies_at=ROWS_BETWEEN_MARKS + 2))
    resumed = Decoder()
    assert levels(tmp_path, resumed) == [number % 256 for number in range(len(RECORDS))]
    assert resumed.opened == set(range(ROWS_BETWEEN_MARKS, len(RECORDS)))
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]


def test_other_content_replaces_the_file(tmp_path):
    levels(tmp_path, Decoder())
    changed = Decoder()
    levels(tmp_path, changed, key="other")
    assert len(changed.opened) == len(RECORDS)
    assert len(list(tmp_path.iterdir())) == 1
