"""Self tests: the picture that is shown, who asks for it, and when it comes by itself."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.alerts.alarm_rules import AlarmRules
from edge_runtime.alerts.events import Reporter
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sample_selection import SampleSelector
from edge_runtime.alerts.settings import SamplesSection
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.settings import CameraPlan, CameraSettings
from edge_runtime.clock import Clock
from edge_runtime.station.self_test import (
    REQUESTS,
    FaultPictures,
    Schedule,
    SelfTests,
    ask,
    prepare_requests,
    read_answer,
    take_requests,
)
from tests.support import spot_bundle
from tests.support.colour_bundle import RULE


@pytest.fixture(scope="module")
def pictures(packed) -> FaultPictures:
    return FaultPictures(open_bundle(packed))


def test_the_clearest_fault_that_is_no_blank_picture_is_shown(pictures):
    frame = pictures.clearest(RULE)
    assert frame[..., 2].max() == 255  # red on its left half: rust
    assert frame[..., 2].min() == 0  # the wholly red frame would count as blank


def test_a_spatial_bundle_shows_a_spot_that_the_cameras_own_thresholds_flag(tmp_path):
    pictures = FaultPictures(open_bundle(spot_bundle.make_bundle(tmp_path)))
    frame = pictures.clearest(spot_bundle.RULE.with_thresholds({"line_hot": 0.9}))
    decision = spot_bundle.RULE.decide(spot_bundle.expected_scores(spot_bundle.SPEC.views(frame))[0])
    assert decision.label == "pole_hot"


def test_thresholds_that_no_fault_reaches_are_told(pictures):
    with pytest.raises(InputError, match="no golden frame of the bundle reaches a threshold"):
        pictures.clearest(replace(RULE, thresholds={"rust": 1.0, "leak": 1.0}))


def test_each_camera_in_its_turn():
    schedule = Schedule(["yard", "gate"], 100, first=1060)
    asked = [schedule.due(1000 + second) for second in range(0, 400, 10)]
    times = [1000 + 10 * place for place, camera in enumerate(asked) if camera]
    assert [camera for camera in asked if camera] == ["yard", "gate", "yard", "gate"]
    assert times == [1060 + 100 * turn for turn in range(4)]


@pytest.mark.parametrize(("cameras", "interval"), [(["yard"], 0), ([], 100)])
def test_no_test_where_none_is_wanted_or_nobody_is_there(cameras, interval):
    assert Schedule(cameras, interval, first=0).due(1e9) is None


@pytest.mark.parametrize("rests", [True, False])
def test_the_schedule_passes_over_a_camera_under_maintenance(pictures, tmp_path, caplog, rests):
    cameras = CameraGroup([CameraPlan(CameraSettings("yard", "usb:0"), problem="it is in no fit state")])
    rules = AlarmRules({}, Reporter("north-7", None), OutboxSpool(None), Clock(), SampleSelector(SamplesSection()))
    schedule = Schedule(["yard"], 100, first=0)
    tests = SelfTests(pictures, rules, schedule, tmp_path, lambda *_: None, rests=lambda camera: rests)
    tests.tick(cameras, 5.0)
    assert ("no test alarm" in caplog.text) != rests


def test_a_request_is_taken_once_and_rubbish_is_put_away(tmp_path, caplog):
    assert list(take_requests(tmp_path)) == []
    answer = ask(tmp_path, "yard")
    (tmp_path / REQUESTS / "x.json").write_text("[]")
    assert list(take_requests(tmp_path)) == [("yard", answer)]
    assert list(take_requests(tmp_path)) == []
    assert "x.json is no request for a test alarm" in caplog.text


def test_an_answer_is_empty_until_a_test_has_an_outcome_and_a_problem_is_an_error(tmp_path):
    prepare_requests(tmp_path)
    answer = ask(tmp_path, "yard")
    assert read_answer(answer) == {}
    answer.write_text('{"problem": "camera yard does not run: no such file"}')
    with pytest.raises(InputError, match="camera yard does not run"):
        read_answer(answer)
    prepare_requests(tmp_path)  # the next start of the service, which will take the request
    assert answer.exists()
    assert len(list(take_requests(tmp_path))) == 1
    prepare_requests(tmp_path)
    assert not answer.exists()
    assert read_answer(answer) == {}


def test_a_folder_of_somebody_else_is_told_once_with_the_remedy(caplog):
    with tempfile.TemporaryDirectory() as state:  # the folders above `tmp_path` are closed to other users
        folder = Path(state) / REQUESTS
        ask(Path(state), "yard")
        Path(state).chmod(0o755)
        folder.chmod(0o555)
        own, other = os.geteuid(), 65534
        os.seteuid(own or other)
        try:
            prepare_requests(Path(state))
            assert [list(take_requests(Path(state))) for _ in range(3)] == [[], [], []]
        finally:
            os.seteuid(own)
            folder.chmod(0o755)
    (line,) = caplog.messages
    assert "requests cannot be written" in line
    assert "give it to the user of the service, or remove it" in line
