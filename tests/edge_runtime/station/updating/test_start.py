"""Exactly one verified bundle serves at each start, whatever the last run has left."""

from pathlib import Path

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.station.settings import StationSection, StationSettings
from edge_runtime.station.updating.start import open_serving
from edge_runtime.updates.state import Stage, load
from edge_runtime.updates.update_process import start_probation
from tests.support import live_models


def settings(folder: Path, factory: Path | None) -> StationSettings:
    return StationSettings(StationSection("north-7", folder / "state", factory, engine="cpu", precision="fp32"))


def version(folder: Path, number: str, **more: object):
    return live_models.make_version(folder / f"version-{number}", number, **more)


def test_the_factory_bundle_serves_until_an_update_has_put_another(tmp_path, packed):
    made, better = settings(tmp_path, packed), version(tmp_path, "2")
    assert open_serving(made).bundle.digest == open_bundle(packed).digest
    live_models.hand_over(made.station.slots, better, 1)
    assert open_serving(made).bundle.digest == open_bundle(packed).digest  # a candidate does not serve by itself
    start_probation(made.station.slots)
    assert open_serving(made).bundle.digest == better.digest


def test_the_first_bundle_of_a_station_serves_at_once_on_probation(tmp_path):
    made, first = settings(tmp_path, None), version(tmp_path, "2")
    with pytest.raises(InputError, match="no bundle serves"):
        open_serving(made)
    live_models.hand_over(made.station.slots, first, 1)
    assert open_serving(made).bundle.digest == first.digest
    assert load(made.station.state_dir).stage is Stage.PROBATION


def test_a_slot_that_was_tampered_with_makes_way_for_the_factory_bundle_and_that_is_told(tmp_path, packed):
    made, better = settings(tmp_path, packed), version(tmp_path, "2")
    live_models.hand_over(made.station.slots, better, 1)
    start_probation(made.station.slots)
    (made.station.slots.folder / better.digest / "model.fp32.onnx").write_bytes(b"another")
    assert open_serving(made).bundle.digest == open_bundle(packed).digest
    assert load(made.station.state_dir).reason == "tampered_slot"


def test_a_model_on_probation_that_no_engine_runs_any_more_makes_way(tmp_path, packed):
    made = settings(tmp_path, packed)
    odd = version(tmp_path, "2", change=lambda model: setattr(model.graph.node[2], "op_type", "NoSuchOperator"))
    live_models.hand_over(made.station.slots, odd, 1)
    start_probation(made.station.slots)
    assert open_serving(made).bundle.digest == open_bundle(packed).digest
    state = load(made.station.state_dir)
    assert (state.stage, state.reason) == (Stage.FAILED, "engine")
    assert "the cpu engine cannot load" in state.detail


@pytest.mark.parametrize("stage", [Stage.GOLDEN_OK, Stage.SHADOW])
def test_a_candidate_that_ends_the_service_while_it_is_loaded_or_shadowed_is_given_up(tmp_path, packed, stage):
    made, better = settings(tmp_path, packed), version(tmp_path, "2")
    live_models.hand_over(made.station.slots, better, 1, stage)
    for _ in range(3):
        assert open_serving(made).bundle.digest == open_bundle(packed).digest
    assert load(made.station.state_dir).reason == "probation_crash"


def test_a_first_model_that_ended_the_service_is_loaded_no_more_by_itself(tmp_path):
    made, first = settings(tmp_path, None), version(tmp_path, "2")
    live_models.hand_over(made.station.slots, first, 1)
    assert [open_serving(made).bundle.digest for _ in range(3)] == [first.digest] * 3
    for _ in range(2):  # as if the service had ended with it
        with pytest.raises(InputError, match="has ended the service before, and no other bundle can serve"):
            open_serving(made)
    assert load(made.station.state_dir).reason == "probation_crash"
    assert open_serving(made, again=True).bundle.digest == first.digest  # it may have been power cuts
    better = version(tmp_path, "3")
    live_models.hand_over(made.station.slots, better, 2)
    assert open_serving(made).bundle.digest == better.digest


def test_a_candidate_takes_the_place_of_a_damaged_bundle_that_has_none_below_it(tmp_path):
    made, first, better = settings(tmp_path, None), version(tmp_path, "2"), version(tmp_path, "3")
    live_models.hand_over(made.station.slots, first, 1)
    open_serving(made)
    (made.station.slots.folder / first.digest / "golden.json").write_text("{}")
    with pytest.raises(InputError, match="no slot to go back to"):
        open_serving(made)
    assert load(made.station.state_dir).reason == "tampered_slot"
    live_models.hand_over(made.station.slots, better, 2)
    assert open_serving(made).bundle.digest == better.digest
