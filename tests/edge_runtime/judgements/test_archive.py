"""The feedback archive: what is in it, what never is, how large it gets, and who signed it."""

import io
import json
import zipfile

import cv2
import numpy as np
import pytest

pytest.importorskip("securesystemslib", reason="the extra `station` is not installed")

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_bytes
from edge_runtime.judgements.archive import CONTENT, MANIFEST, Example, Sender, build_archive, clean_picture
from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.judgements.store import Entry, picture_subject
from edge_runtime.updates.identity.station_key import open_station_key, verify
from tests.support.judged_events import alarm_document

CREATED = "2026-11-23T07:00:00.000Z"
ROOM = 64 << 10


@pytest.fixture
def sender(tmp_path):
    return Sender("hill", open_station_key(tmp_path / "updates"), ("hunter2secret",))


def noise(path, seed=0, side=100):
    frame = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, frame)[1].tobytes())
    return path


def judged(number, note="", **event):
    judgement = judge_event(alarm_document(number, **event), Verdict.WRONG, "anna", "operator", note=note)
    return Entry(judgement.id, judgement)


def shown(number, path, **event):
    return Example(f"event-{number}", "alarm", alarm_document(number, **event), path)


def members(archive):
    with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_an_archive_holds_judgements_and_frames_and_its_manifest_is_signed(sender, tmp_path):
    frame, entry = noise(tmp_path / "a.jpg"), judged(1)
    archive = build_archive(sender, 3, CREATED, [entry], [shown(1, frame)], ROOM)
    inside = members(archive)
    manifest, content = json.loads(inside[MANIFEST]), json.loads(inside[CONTENT])
    verify(manifest, sender.key.public)
    picture = f"pictures/{sha256_bytes(frame.read_bytes())}.jpg"
    assert list(inside) == [MANIFEST, CONTENT, picture]
    assert manifest["members"] == {
        name: {"bytes": len(data), "sha256": sha256_bytes(data)} for name, data in inside.items() if name != MANIFEST
    }
    assert content["entries"] == [entry.judgement.to_json()]
    assert (content["examples"][0]["event"], content["examples"][0]["file"]) == ("event-1", picture)
    assert content["examples"][0]["model"]["digest"] == "a" * 64
    assert archive.subjects == (entry.id, picture_subject("event-1"))
    assert archive.name.startswith("hill-00003-")


def test_the_same_content_gives_the_same_bytes(sender, tmp_path):
    frame, entry = noise(tmp_path / "a.jpg"), judged(1)
    first, second = (build_archive(sender, 1, CREATED, [entry], [shown(1, frame)], ROOM) for _ in range(2))
    assert first == second


def test_no_credential_leaves_wherever_somebody_has_planted_it(sender, tmp_path):
    frame = noise(tmp_path / "a.jpg")
    jpeg = frame.read_bytes()
    comment = b"rtsp://root:hunter2secret@10.0.0.7/ GPS 48.2"
    frame.write_bytes(jpeg[:20] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[20:])
    planted = {"password": "hunter2secret", "problem": "hunter2secret", "pictures": {"frame": "/home/hunter2secret"}}
    event = {"reason": "rtsp://root:hunter2secret@10.0.0.7/live", **planted}
    note = "its login is hunter2secret, see http://x/?password=hunter2secret"
    entries = [judged(1, note), judged(2)]
    archive = build_archive(sender, 1, CREATED, entries, [shown(1, frame, **event)], ROOM)
    for name, data in members(archive).items():
        for secret in (b"hunter2", b"root:", b"GPS", b"/home"):
            assert secret not in data, name
    assert json.loads(members(archive)[CONTENT])["entries"][0]["note"].startswith("its login is ***, see http")


@pytest.mark.parametrize("most", [ROOM, 3 * ROOM])
def test_what_finds_no_room_waits_for_the_next_archive(sender, tmp_path, most):
    examples = [shown(number, noise(tmp_path / f"{number}.jpg", number)) for number in range(12)]
    entries = [judged(number, "x" * 900) for number in range(200)]
    taken, archives = set(), 0
    while True:
        left = [entry for entry in entries if entry.id not in taken]
        rest = [one for one in examples if picture_subject(one.event) not in taken]
        archive = build_archive(sender, archives + 1, CREATED, left, rest, most)
        if archive is None:
            break
        assert len(archive.data) <= most
        assert archive.left == len(left) + len(rest) - len(archive.subjects)
        assert not taken & set(archive.subjects)
        taken |= set(archive.subjects)
        archives += 1
    assert len(taken) == 212
    assert archives > 1


def test_a_picture_that_no_archive_can_hold_is_told_and_keeps_nothing_else_back(sender, tmp_path):
    examples = [shown(1, noise(tmp_path / "big.jpg", side=400)), shown(2, noise(tmp_path / "small.jpg", 2))]
    examples.append(shown(3, tmp_path / "gone.jpg"))
    archive = build_archive(sender, 1, CREATED, [], examples, ROOM)
    assert archive.subjects == (picture_subject("event-2"),)
    assert "too many for archives" in archive.unusable["event-1"]
    assert "gone.jpg cannot be read" in archive.unusable["event-3"]


def test_without_anything_to_leave_there_is_no_archive(sender):
    assert build_archive(sender, 1, CREATED, [], [], ROOM) is None


def test_another_kind_of_picture_becomes_a_jpeg(tmp_path):
    path = noise(tmp_path / "a.png")
    frame = cv2.imdecode(np.frombuffer(clean_picture(path), np.uint8), cv2.IMREAD_COLOR_BGR)
    assert frame.shape == (100, 100, 3)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError):
        clean_picture(tmp_path / "b.jpg")
