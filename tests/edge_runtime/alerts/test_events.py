"""Records of alarms, heartbeats and samples."""

import cv2
import numpy as np
import pytest

from edge_runtime.alerts.events import JudgedView, Reporter, camera_status
from edge_runtime.alerts.votes import Change
from edge_runtime.bundle.store import Bundle, open_bundle
from edge_runtime.causes import Cause
from edge_runtime.clock import Moment
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from tests.support import spot_bundle
from tests.support.sample_events import judged_view

MOMENT = Moment("2026-11-23T02:10:00.000Z", "2026-11-23T02:10:04.000Z", "free")
RED = (0, 0, 255)


@pytest.fixture(scope="module")
def reporter(packed) -> Reporter:
    return Reporter("north-7", open_bundle(packed))


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_an_alarm_says_all_that_the_topic_promises(reporter, packed):
    alarm = reporter.alarm(judged_view(RED, test=True), Change("rust", True, 2, 3, 2), MOMENT)
    assert alarm.document == {
        "schema": "rarefault/event",
        "schema_version": 1,
        "id": alarm.id,
        "kind": "alarm",
        "station": "north-7",
        "camera": "yard",
        "time": "2026-11-23T02:10:00.000Z",
        "recorded": "2026-11-23T02:10:04.000Z",
        "clock": "free",
        "label": "rust",
        "probability": pytest.approx(np.exp(255 / 64) / (np.exp(255 / 64) + 2), abs=1e-6),
        "threshold": 0.4,
        "test": True,
        "votes": {"votes": 2, "of": 3, "needed": 2},
        "model": {"name": "colours", "version": "1", "digest": open_bundle(packed).digest},
    }


def test_a_misconfigured_camera_always_says_what_is_wrong():
    given, advice = "the file secret cannot be read", Cause.MISCONFIGURED.advice
    misconfigured = {"status": "offline", "cause": "misconfigured"}
    assert camera_status(Cause.MISCONFIGURED, given) == {**misconfigured, "problem": given}
    assert camera_status(Cause.MISCONFIGURED) == {**misconfigured, "problem": advice}  # a certificate, of a running one
    assert camera_status(Cause.TIMEOUT) == {"status": "offline", "cause": "timeout"}
    assert camera_status(None) == {"status": "online", "cause": ""}


def test_ids_differ(reporter):
    change = Change("rust", True, 2, 3, 2)
    assert reporter.alarm(judged_view(RED), change, MOMENT).id != reporter.alarm(judged_view(RED), change, MOMENT).id


def test_the_clean_frame_is_the_frame_and_the_other_shows_heat_and_text(reporter):
    seen = judged_view(RED)
    alarm = reporter.alarm(seen, Change("rust", True, 2, 3, 2), MOMENT)
    clean, annotated = decoded(alarm.pictures["frame"]), decoded(alarm.pictures["heatmap"])
    assert np.abs(clean.astype(int) - seen.image).mean() < 3
    assert annotated.shape == (48 + 2 * 24, 64, 3)
    assert annotated[:48, :24].astype(int).mean() > annotated[:48, 40:].astype(int).mean() + 50  # heat is on the left
    assert annotated[48:].max() > 100  # letters on black
    assert np.median(annotated[48:]) < 20


def test_the_heat_map_is_of_the_raised_label_not_of_the_most_probable_one(reporter):
    seen = judged_view(RED)
    rust = reporter.alarm(seen, Change("rust", True, 2, 3, 2), MOMENT)
    leak = reporter.alarm(seen, Change("leak", True, 2, 3, 2), MOMENT)
    assert leak.document["probability"] < rust.document["probability"]
    assert decoded(rust.pictures["heatmap"])[:48, :24].mean() > decoded(leak.pictures["heatmap"])[:48, :24].mean() + 20


def spot_view(bundle: Bundle) -> JudgedView:
    frame = spot_bundle.scene("line", (4, 8))
    evaluation = Evaluator(bundle, open_engine(bundle, "cpu", "fp32").engine).evaluate(frame)
    return JudgedView("yard", frame, evaluation, 0.0)


@pytest.mark.parametrize("evidence", ["boxes", "pictures"])
def test_an_alarm_of_a_spatial_bundle_says_what_is_seen_and_how_far_it_is_evidence(tmp_path, evidence):
    bundle = open_bundle(spot_bundle.make_bundle(tmp_path, evidence=evidence))
    seen = spot_view(bundle)
    alarm = Reporter("north-7", bundle).alarm(seen, Change("line_hot", True, 2, 3, 2), MOMENT)
    assert alarm.document["group"]["label"] == "line"
    assert alarm.document["evidence"] == evidence
    assert alarm.document["supported"] is False
    doubts = ["the map is not evidence: it was trained without boxes"] * (evidence == "pictures")
    assert alarm.document["doubts"] == [
        *doubts,
        "line_hot: not supported: the score does not rest on the fault",
    ]
    assert decoded(alarm.pictures["heatmap"]).shape == (16 + (2 + len(doubts) + 1) * 24, 32, 3)


def test_an_alarm_named_by_other_frames_has_the_probability_of_its_kind(tmp_path):
    bundle = open_bundle(spot_bundle.make_bundle(tmp_path))
    alarm = Reporter("north-7", bundle).alarm(spot_view(bundle), Change("pole_hot", True, 2, 3, 2), MOMENT)
    assert alarm.document["probability"] == pytest.approx(0.9815, abs=1e-4)
    assert (alarm.document["supported"], alarm.document["doubts"]) == (True, [])


def test_a_sample_has_its_reason_and_a_clean_frame_only(reporter):
    sample = reporter.sample(judged_view(RED), "rare", MOMENT)
    assert (sample.kind, sample.document["reason"], sample.document["label"]) == ("sample", "rare", "rust")
    assert [entry["label"] for entry in sample.document["top"]] == ["rust", "normal", "leak"]
    assert list(sample.pictures) == ["frame"]


def test_a_heartbeat_belongs_to_no_camera(reporter):
    heartbeat = reporter.heartbeat({"uptime": 5}, MOMENT)
    assert (heartbeat.camera, heartbeat.pictures, heartbeat.document["state"]) == ("", {}, {"uptime": 5})
    assert "camera" not in heartbeat.document
