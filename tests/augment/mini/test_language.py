"""What the language model learns from: captions whose class is sometimes a made-up one."""

import numpy as np

from augment.mini.language import STRANGER_SHARE, padded, split_caption


def test_a_made_up_class_takes_the_place_of_the_phrase_and_leaves_the_context():
    rng = np.random.default_rng(0)
    parts = [split_caption("a photo of a valve, on grass, at night", rng) for _ in range(400)]
    assert {context for _, context, _ in parts} == {", on grass, at night"}
    assert all((head == "a photo of a valve") != stranger for head, _, stranger in parts)
    assert abs(np.mean([stranger for *_, stranger in parts]) - STRANGER_SHARE) < 0.08


def test_rows_are_filled_at_their_end():
    assert padded([[1], [2, 3]], -100).tolist() == [[1, -100], [2, 3]]
