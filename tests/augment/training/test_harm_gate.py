"""The gate: harm is seen on validation images, and the class that took the images pays."""

import json
from dataclasses import replace

import numpy as np
import pytest

from augment.records import RunFolder
from augment.settings import CompareSettings, Settings, TrainSettings
from augment.stages import train
from augment.training import harm_gate
from tests.support.drawn_run import tiny_run

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
    assert harm_gate.harm(SETTINGS, tmp_path, "real", "arm") == ({"sound"}, {"leaking"})


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_no_change_a_gain_and_a_single_image_are_no_harm(tmp_path, taken):
    write(tmp_path, "real", rows(1))
    write(tmp_path, "arm", rows(taken))
    assert harm_gate.harm(SETTINGS, tmp_path, "real", "arm") == (frozenset(), frozenset())


def test_confidence_decides_what_harm_is(tmp_path):
    write(tmp_path, "real", rows(1))
    write(tmp_path, "arm", rows(4))
    easy, hard = (replace(SETTINGS, train=replace(SETTINGS.train, gate_confidence=share)) for share in (0.5, 0.999))
    assert harm_gate.harm(easy, tmp_path, "real", "arm")[0] == {"sound"}
    assert harm_gate.harm(hard, tmp_path, "real", "arm")[0] == frozenset()


def gated_settings(folder):
    settings, run = tiny_run(folder)
    section = replace(settings.train, arms=("real", "combined", "combined+gate"), seeds=1, steps=4)
    return replace(settings, train=section), run


def scripted(monkeypatch, *answers, gains=True):
    """The gate finds these (losers, takers) in turn, and a gain or none; returns what it was asked."""
    monkeypatch.setattr(harm_gate, "gains", lambda *given: gains)
    asked, left = [], list(answers)
    nothing = frozenset(), frozenset()
    monkeypatch.setattr(
        harm_gate, "harm", lambda *given: (asked.append(given[2:]), left.pop(0) if left else nothing)[1]
    )
    return asked


def test_a_gated_arm_learns_without_the_images_of_the_class_that_took_others(tmp_path, monkeypatch):
    settings, run = gated_settings(tmp_path)
    asked = scripted(monkeypatch, ({"breaker_ok"}, frozenset({"tank_ok"})))
    document = train.run(settings, run)
    assert asked == [("real", "combined"), ("real", "combined+gate")]
    plain, gated = (next(r for r in document.records if r["arm"] == arm) for arm in ("combined", "combined+gate"))
    assert (plain["dropped"], gated["dropped"]) == ([], ["tank_ok"])
    assert plain["images"]["synthetic"]["tank_ok"] > 0
    assert gated["images"]["synthetic"] == {**plain["images"]["synthetic"], "tank_ok": 0}
    assert gated["images"]["real"] == plain["images"]["real"]


def test_where_that_does_not_help_the_losers_own_images_go_and_at_last_all(tmp_path, monkeypatch):
    settings, run = gated_settings(tmp_path)
    again = frozenset({"breaker_ok"}), frozenset({"tank_ok"})
    asked = scripted(monkeypatch, again, again)
    gated = next(r for r in train.run(settings, run).records if r["arm"] == "combined+gate")
    assert (len(asked), gated["dropped"]) == (3, ["breaker_ok", "tank_ok"])
    scripted(monkeypatch, *[again] * 9)
    (run.path / "training" / "v0001.json").unlink()
    gated = next(r for r in train.run(settings, run).records if r["arm"] == "combined+gate")
    assert sum(gated["images"]["synthetic"].values()) == 0


def test_where_nothing_is_gained_all_generated_images_go(tmp_path, monkeypatch):
    settings, run = gated_settings(tmp_path)
    scripted(monkeypatch, gains=False)
    records = {record["arm"]: record for record in train.run(settings, run).records}
    gated = records["combined+gate"]
    assert sum(gated["images"]["synthetic"].values()) == 0
    assert gated["dropped"] == sorted(gated["images"]["real"])
    assert gated["validation"] == records["real"]["validation"]


@pytest.mark.parametrize(("taken", "gained"), [(9, False), (1, False), (0, True)])
def test_a_gain_is_a_better_mean_on_validation_images(tmp_path, taken, gained):
    write(tmp_path, "real", rows(1))
    write(tmp_path, "arm", rows(taken))
    assert harm_gate.gains(SETTINGS, tmp_path, "real", "arm") == gained


def test_a_gate_needs_the_arm_that_it_watches(tmp_path):
    settings, run = gated_settings(tmp_path)
    alone = replace(settings, train=replace(settings.train, arms=("real", "combined+gate")))
    with pytest.raises(train.InputError, match="whose gate watches combined; name that arm too"):
        train.run(alone, RunFolder(run.path))


def test_harm_is_told_per_class():
    truth = np.repeat([0, 1], 20)
    before = np.array([truth, truth])
    after = before.copy()
    after[:, :6] = 1
    assert harm_gate.harmed(SETTINGS, truth, before, after, 2) == [0]
