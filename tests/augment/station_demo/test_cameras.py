"""The demo's cameras: what comes and goes when, and streams that a real reader takes frames from."""

import http.client
from dataclasses import replace

import pytest

from augment.station_demo.cameras import IN_MAINTENANCE, NEVER, PROGRAMMES, DemoCameras, Spell


def test_a_spell_comes_first_lasts_and_comes_again():
    spell = Spell(first=10, lasts=5, every=60)
    assert [spell.holds(seconds) for seconds in (0, 9.9, 10, 14.9, 15, 69.9, 70, 74.9, 75)] == [
        False, False, True, True, False, False, True, True, False,
    ]  # fmt: skip
    assert not any(NEVER.holds(seconds) for seconds in range(10_000))


def test_a_minute_has_a_fault_and_the_demo_a_frozen_camera_and_one_in_maintenance():
    assert any(programme.faulty.first < 30 and programme.faulty.lasts > 20 for programme in PROGRAMMES)
    assert [programme.name for programme in PROGRAMMES if programme.frozen.lasts] == ["breather-1"]
    assert IN_MAINTENANCE in {programme.name for programme in PROGRAMMES}


@pytest.fixture
def cameras():
    frozen = replace(PROGRAMMES[0], name="frozen-1", faulty=NEVER, frozen=Spell(0, 100, 1000))
    cameras = DemoCameras([replace(PROGRAMMES[0], faulty=NEVER), frozen])
    yield cameras
    cameras.close()


def frames(cameras, name, count):
    """The first JPEGs of a camera's stream."""
    host = cameras.url(name).split("/")[2]
    link = http.client.HTTPConnection(host, timeout=20)
    link.request("GET", f"/{name}")
    answer, found = link.getresponse(), []
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
    while len(found) < count:
        assert answer.readline() == b"--frame\r\n"
        assert answer.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(answer.readline().split(b":")[1])
        assert answer.readline() == b"\r\n"
        found.append(answer.read(length))
        assert answer.readline() == b"\r\n"
    link.close()
    return found


def test_a_camera_streams_frames_that_differ_and_a_frozen_one_repeats_its_last(cameras):
    seen = frames(cameras, "transformer-1", 3)
    assert len(set(seen)) == 3
    assert all(jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9") for jpeg in seen)
    assert len(set(frames(cameras, "frozen-1", 3))) == 1


def test_a_camera_that_is_not_there_is_not_found(cameras):
    link = http.client.HTTPConnection(cameras.url("nobody").split("/")[2], timeout=20)
    link.request("GET", "/nobody")
    assert link.getresponse().status == 404
    link.close()
