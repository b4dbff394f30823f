"""The embedded writer."""

from augment.models.registry import Models
from augment.presets import PRESETS


def test_a_writer_gives_the_same_texts_for_a_seed_and_others_for_another():
    writer = Models(PRESETS["mini"]).writer
    first = writer.continuations("a photo of a valve,", 3, seed=1)
    assert len(first) == 3
    assert writer.continuations("a photo of a valve,", 3, seed=1) == first
    assert writer.continuations("a photo of a valve,", 3, seed=2) != first
