"""The gate: a loss of recall is seen on validation images, and the class that took the images pays."""

import json
from dataclasses import replace

import numpy as np
import pytest

from augment.settings import CompareSettings, Settings, TrainSettings
from augment.training import harm_gate
from augment.training.arms import parse_arm
from augment.training.harm_gate import HarmGate
from tests.support.scripted_gate import ScriptedGate

LABELS = ("burnt", "leaking", "sound")
SETTINGS = Settings(train=TrainSettings(seeds=2), compare=CompareSettings(resamples=500))


def write(folder, name, predicted):
    """predictions.json of two seeds; `predicted` are label names, one of each truth in turn."""
    for seed in (0, 1):
        images = [
            {"id": str(at), "label": truth, "logits": [float(label == found) for label in LABELS]}
            for at, (truth, found) in enumerate(predicted)
        ]
        (folder / name / f"seed-{seed}").mkdir(parents=True)
        (folder / name / f"seed-{seed}" / "predictions.json").write_text(
            json.dumps({"labels": LABELS, "images": images})
        )


def rows(sound_as_leaking: int) -> list[tuple[str, str]]:
    sound = ["leaking"] * sound_as_leaking + ["sound"] * (30 - sound_as_leaking)
    return [("sound", found) for found in sound] + [("leaking", "leaking")] * 10 + [("burnt", "burnt")] * 10


def test_the_class_that_took_the_images_is_named(tmp_path):
    write(tmp_path, "real", rows(1))
    write(tmp_path, "arm", rows(9))
    assert HarmGate(SETTINGS, tmp_path).recall_losses("arm") == ({"sound"}, {"leaking"})


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_no_change_a_gain_and_a_single_image_are_no_harm(tmp_path, taken):
    write(tmp_path, "real", rows(1))
    write(tmp_path, "arm", rows(taken))
    assert HarmGate(SETTINGS, tmp_path).recall_losses("arm") == (frozenset(), frozenset())


def test_confidence_decides_what_harm_is(tmp_path):
    write(tmp_path, "real", rows(1))
    write(tmp_path, "arm", rows(4))
    easy, hard = (replace(SETTINGS, train=replace(SETTINGS.train, gate_confidence=share)) for share in (0.5, 0.999))
    assert HarmGate(easy, tmp_path).recall_losses("arm")[0] == {"sound"}
    assert HarmGate(hard, tmp_path).recall_losses("arm")[0] == frozenset()


def dropped(gate: ScriptedGate) -> list[list[str]]:
    """What each training of a gated arm left out, in their order; the last one counts."""
    trained = []

    def train(arm):
        trained.append(sorted(arm.dropped))
        return [trained[-1]]

    arm = parse_arm("combined+gate", ())
    assert harm_gate.train_gated(arm, LABELS, train, gate) == [trained[-1]]
    return trained


def test_a_gated_arm_learns_without_the_images_of_the_class_that_took_others():
    gate = ScriptedGate([(frozenset({"burnt"}), frozenset({"sound"}))])
    assert dropped(gate) == [["sound"]]
    assert gate.asked == ["combined", "combined+gate"]


def test_where_that_does_not_help_the_losers_own_images_go_and_at_last_all():
    again = frozenset({"burnt"}), frozenset({"sound"})
    assert dropped(ScriptedGate([again] * 2)) == [["sound"], ["burnt", "sound"]]
    assert dropped(ScriptedGate([again] * 9))[-1] == sorted(LABELS)


def test_where_nothing_is_gained_all_generated_images_go():
    assert dropped(ScriptedGate([], gain=False)) == [[], sorted(LABELS)]


@pytest.mark.parametrize(("taken", "gained"), [(9, False), (1, False), (0, True)])
def test_a_gain_is_a_better_mean_on_validation_images(tmp_path, taken, gained):
    write(tmp_path, "real", rows(1))
    write(tmp_path, "arm", rows(taken))
    assert HarmGate(SETTINGS, tmp_path).gains("arm") == gained


@pytest.mark.parametrize(
    ("arms", "arm", "rival"),
    [
        (("real+classic", "real", "real+heal+gate"), "real+heal", "real"),
        (("real+classic", "real", "real+heal+gate"), "real+heal+gate", "real"),
        (("real+classic", "real", "real+heal+classic+gate"), "real+heal+classic", "real+classic"),
        (("real+classic", "real+heal+gate"), "real+heal", "real+classic"),
    ],
)
def test_an_arm_is_compared_with_one_that_has_the_same_head(tmp_path, arms, arm, rival):
    compared = replace(SETTINGS.compare, baseline="real+classic")
    settings = replace(SETTINGS, compare=compared, train=replace(SETTINGS.train, arms=arms))
    assert HarmGate(settings, tmp_path).rival(arm) == rival


def test_a_loss_is_found_per_class():
    truth = np.repeat([0, 1], 20)
    before = np.array([truth, truth])
    after = before.copy()
    after[:, :6] = 1
    assert harm_gate.losing_classes(SETTINGS, truth, before, after, 2) == [0]


HEAD = {
    "kind": "spatial",
    "groups": [{"name": "line", "healthy": "sound", "faults": {"hot": "burnt"}}],
    "kinds": ["hot"],
    "pooling": {"kind": "max", "cells": 1},
    "evidence": "boxes",
}


def write_scores(folder, name, faults, painted, traces=None):
    """predictions.json of two seeds of a spatial head: burnt pictures, their painted copies, and sound pictures."""
    sound = np.linspace(-1, 1, len(faults))
    rows = [("burnt", score, copy) for score, copy in zip(faults, painted, strict=True)]
    images = [
        {"id": str(at), "label": truth, "logits": [0.0, 1.0], "scores": [0.0, score], "copies": {}}
        for at, (truth, score, _) in enumerate([*rows, *(("sound", score, None) for score in sound)])
    ]
    for image, (_, _, copy) in zip(images, rows, strict=False):
        image["copies"]["painted"] = [0.0, copy]
    for image in images[len(rows) :]:
        image["copies"] |= {} if traces is None else {"edit-0.5": [0.0, image["scores"][1] + traces]}
    for seed in (0, 1):
        (folder / name / f"seed-{seed}").mkdir(parents=True)
        content = {"labels": ["burnt", "sound"], "head": HEAD, "images": images}
        (folder / name / f"seed-{seed}" / "predictions.json").write_text(json.dumps(content))


def test_a_score_that_rests_less_on_the_fault_is_a_loss_whatever_the_recall(tmp_path):
    high, low = np.full(30, 2.0), np.linspace(-1, 1, 30)
    write_scores(tmp_path, "real", high, low)
    write_scores(tmp_path, "blurred", high, high)
    gate = HarmGate(SETTINGS, tmp_path)
    assert gate.recall_losses("blurred")[0] == frozenset()
    assert gate.losses("blurred") == ({"burnt"}, {"burnt"})
    assert gate.gaps("blurred")["burnt"].value == pytest.approx(-0.5)
    assert not gate.gains("blurred")


def test_a_score_that_rests_more_on_the_fault_is_a_gain(tmp_path):
    high, low = np.full(30, 2.0), np.linspace(-1, 1, 30)
    write_scores(tmp_path, "real", high, high)
    write_scores(tmp_path, "heal", high, low)
    assert HarmGate(SETTINGS, tmp_path).gains("heal")


@pytest.mark.parametrize(("traces", "blamed"), [(1.0, {"burnt"}), (0.0, set()), (-1.0, set()), (0.001, set())])
def test_an_arm_that_takes_a_methods_traces_for_a_fault_is_to_blame(tmp_path, traces, blamed):
    high, low = np.full(30, 2.0), np.linspace(-1, 1, 30)
    write_scores(tmp_path, "real", high, low)
    write_scores(tmp_path, "edited", high, low, traces)
    gate = HarmGate(SETTINGS, tmp_path)
    assert gate.traced("edited") == blamed
    assert gate.losses("edited") == (blamed, blamed)
    assert gate.traced("real") == frozenset()


def test_where_nothing_was_painted_there_is_no_gap(tmp_path):
    write(tmp_path, "real", rows(1))
    write(tmp_path, "arm", rows(1))
    assert HarmGate(SETTINGS, tmp_path).gaps("arm") == {}
