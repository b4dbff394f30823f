"""Heads: which outputs belong together, how maps are pooled, and how tiles become one verdict."""

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import ClassHead, Group, Pooling, SpatialHead, head_from_json

GROUPS = (Group("line", "line_normal", {"hot": "line_hotspot"}), Group("pole", "pole_normal", {"hot": "pole_hotspot"}))
HEAD = SpatialHead(GROUPS, ("hot",), Pooling("top", 2))
MAPS = np.array([[[[1.0, 4.0], [2.0, 3.0]]]], np.float32)  # one view, one kind, 2 x 2 cells


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("max", 4.0),
        ("top-1", 4.0),
        ("top-2", 3.5),
        ("top-9", 2.5),  # there are four cells
        ("lse", np.log(np.exp([1.0, 4.0, 2.0, 3.0]).mean())),
    ],
)
def test_a_score_is_pooled_from_its_map(pooling, expected):
    made = Pooling.parse(pooling)
    assert made.pool(MAPS) == pytest.approx(np.array([[expected]]))
    assert Pooling(**made.to_json()) == made
    assert str(made) == pooling


def test_log_mean_exp_does_not_overflow():
    assert Pooling.parse("lse").pool(MAPS + 1000) == pytest.approx(1000 + Pooling.parse("lse").pool(MAPS))


@pytest.mark.parametrize("text", ["", "top", "top-0", "top-x", "mean", "max-2"])
def test_an_unknown_pooling_is_refused(text):
    with pytest.raises(InputError, match="the pooling is"):
        Pooling.parse(text)


def test_the_fault_score_must_be_pooled_from_its_own_map():
    outputs = {"group_logits": np.zeros((1, 2)), "fault_scores": np.array([[3.5]]), "maps": MAPS}
    HEAD.check(outputs, 1e-6)
    with pytest.raises(InputError, match=r"top-2 of the map differs from the score by 0\.5"):
        HEAD.check({**outputs, "fault_scores": np.array([[4.0]])}, 0.4)
    with pytest.raises(InputError, match="do not belong together"):
        HEAD.check({**outputs, "fault_scores": np.array([[np.nan]])}, 0.4)


def test_logits_and_class_maps_may_differ_by_one_bias_alone():
    head = ClassHead(("a", "b"))
    cam = np.random.default_rng(0).normal(size=(3, 2, 4, 4))
    head.check({"logits": cam.mean(axis=(2, 3)) + np.array([1.0, -2.0]), "cam": cam}, 1e-6)
    with pytest.raises(InputError, match="map and logits do not belong together"):
        head.check({"logits": cam.mean(axis=(2, 3)) + np.array([[0], [0], [0.5]]), "cam": cam}, 0.4)


def test_scores_are_group_logits_and_fault_scores_side_by_side():
    outputs = {"group_logits": np.array([[1.0, 2.0]]), "fault_scores": np.array([[3.0]]), "maps": MAPS}
    assert HEAD.scores(outputs).tolist() == [[1, 2, 3]]
    assert ClassHead(("a", "b")).scores({"logits": np.array([[1.0, 2.0]])}).tolist() == [[1, 2]]


def test_of_tiles_the_surest_tells_the_fault_and_all_tell_the_group():
    tiles = np.array([[[1.0, 0.0, -5.0], [0.0, 3.0, 2.0]]])
    assert HEAD.join_tiles(tiles).tolist() == [[0.5, 1.5, 2.0]]
    assert ClassHead(("a", "b")).join_tiles(np.array([[[1.0, 2.0]]])).tolist() == [[1, 2]]


def test_heads_survive_json():
    assert head_from_json(HEAD.to_json(), ()) == HEAD
    assert head_from_json(ClassHead(("a", "b")).to_json(), ("a", "b")) == ClassHead(("a", "b"))


def test_groups_may_share_a_fault_label_of_one_kind():
    shared = SpatialHead((Group("a", "a", {"rust": "rust"}), Group("b", "b", {"rust": "rust"})), ("rust",))
    assert shared.kind_of == {"rust": "rust"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"groups": []}, "the groups of the head are"),
        ({"groups": "line"}, "malformed"),
        ({"kinds": ["hot", "hot"]}, "each name once"),
        ({"kinds": ["hot", "leak"]}, "expected in both"),
        ({"evidence": "belief"}, "the evidence is 'belief'"),
        ({"pooling": {"kind": "mean", "cells": 1}}, "the pooling is"),
        ({"groups": [{"name": "a", "healthy": "x", "faults": {"hot": "x"}}]}, "each healthy label in one group"),
    ],
)
def test_a_head_that_cannot_be_followed_is_refused(change, sentence):
    with pytest.raises(InputError, match=sentence):
        head_from_json({**HEAD.to_json(), **change}, ())
