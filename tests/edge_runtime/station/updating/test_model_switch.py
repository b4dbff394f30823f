"""Loading a model with what goes with it, and work in the background. The turn itself: test_live_updates."""

import threading

import pytest

from edge_runtime.alerts.settings import DecisionSection
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.station.settings import StationSection, StationSettings
from edge_runtime.station.updating.model_switch import Background, fit_model, open_evaluator
from tests.support.sample_events import wait_until

STATION = StationSection("north-7", engine="cpu", precision="fp32")


def test_a_model_comes_with_the_rule_of_each_camera_and_its_test_pictures(packed):
    settings = StationSettings(STATION, decision=DecisionSection(thresholds={"rust": 0.7}))
    model = fit_model(settings, ["yard", "gate"], open_evaluator(packed, STATION))
    assert [rule.decision.thresholds["rust"] for rule in model.rules.values()] == [0.7, 0.7]
    assert model.pictures.clearest(model.rules["yard"].decision).shape == (16, 24, 3)
    assert model.bundle.manifest.version == "1"


def test_settings_that_do_not_fit_the_bundle_are_told(packed):
    settings = StationSettings(STATION, decision=DecisionSection(thresholds={"crack": 0.7}))
    with pytest.raises(InputError, match="threshold for 'crack', which is no fault of this bundle"):
        fit_model(settings, ["yard"], open_evaluator(packed, STATION))


def test_work_in_the_background_is_done_or_tells_why_not():
    go = threading.Event()
    work = Background(lambda: go.wait(30) and "done")
    assert not work.done
    go.set()
    wait_until(lambda: work.done)
    assert work.result() == "done"

    def fail() -> None:
        raise UnavailableError("no disk")

    failing = Background(fail)
    wait_until(lambda: failing.done)
    with pytest.raises(UnavailableError, match="no disk"):
        failing.result()
