"""Archives that somebody has made or changed to do harm, and those that are fine."""

import base64
import io
import json
import os
import zipfile

import cv2
import numpy as np
import pytest

pytest.importorskip("securesystemslib", reason="the extra `central` is not installed")

from augment.feedback.archive_reader import read_archive
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_bytes
from edge_runtime.judgements.archive import CONTENT, MANIFEST
from edge_runtime.judgements.records import Verdict, judge_event
from tests.support.feedback_archives import FeedbackSite
from tests.support.judged_events import alarm_document


@pytest.fixture
def site(tmp_path):
    return FeedbackSite(tmp_path)


@pytest.fixture
def good(site, tmp_path):
    picture = tmp_path / "a.jpg"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    judgement = judge_event(alarm_document(1), Verdict.WRONG, "anna", "operator")
    return site.archive([judgement], [(1, picture)])


def keys(site):
    return {site.station: site.sender.key.public}


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path, inside, compression=zipfile.ZIP_STORED, attributes=0o644 << 16):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in inside.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes
            archive.writestr(info, data, compression)
    return path


def resigned(site, path, change=lambda inside: None, about=lambda manifest: None):
    """The archive once more after `change` to its members, rightly listed and signed by the station."""
    inside = members(path)
    manifest = json.loads(inside.pop(MANIFEST))
    change(inside)
    listed = {name: {"bytes": len(data), "sha256": sha256_bytes(data)} for name, data in inside.items()}
    manifest["members"] = listed
    about(manifest)
    return rewritten(path, {MANIFEST: json.dumps(site.sender.key.sign(manifest)).encode(), **inside})


def test_a_whole_archive_of_an_enrolled_station_is_read(site, good):
    read = read_archive(good, keys(site))
    assert (read.station, read.number) == ("hill", 1)
    assert [entry["verdict"] for entry in read.entries] == ["wrong"]
    assert list(read.pictures) == [read.examples[0]["file"]]


def test_the_event_that_carried_an_archive_serves_as_well(site, good, tmp_path):
    event, whole = tmp_path / "event.json", read_archive(good, keys(site))
    event.write_text(json.dumps({"pictures": {"archive": {"data": base64.b64encode(good.read_bytes()).decode()}}}))
    assert read_archive(event, keys(site)) == whole
    for other in ("{}", '{"pictures": {"archive": {"data": 5}}}', '{"pictures": {"archive": {"data": "%%%%"}}}', "{"):
        event.write_text(other)
        with pytest.raises(InputError, match="is not taken"):
            read_archive(event, keys(site))


def test_an_archive_of_a_stranger_or_with_another_key_is_refused(site, good, tmp_path):
    with pytest.raises(InputError, match="'hill' is not enrolled; see `rarefault enrol`"):
        read_archive(good, {})
    (tmp_path / "x").mkdir()
    other = FeedbackSite(tmp_path / "x")
    with pytest.raises(InputError, match="enrolled is"):
        read_archive(good, keys(other))


def test_each_changed_byte_is_noticed(site, good):
    whole, first = good.read_bytes(), read_archive(good, keys(site))
    refused = 0
    for place in range(0, len(whole), len(whole) // 60):
        good.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            read = read_archive(good, keys(site))
        except InputError:
            refused += 1
            continue
        # Of the .zip itself there are bytes that mean nothing to us, such as a date.
        assert (read.entries, read.examples, read.pictures) == (first.entries, first.examples, first.pictures)
    assert refused > 40


@pytest.mark.parametrize("cut", [0, 1, 30, 300, -1, -25])
def test_an_archive_that_is_cut_off_is_refused(site, good, cut):
    good.write_bytes(good.read_bytes()[:cut])
    with pytest.raises(InputError, match="is not taken"):
        read_archive(good, keys(site))


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/etc/passwd", "pictures/../../x.jpg", "pictures/x.jpg", "C:\\x", "pictures/", "run.py"]
)
def test_a_member_of_another_name_is_refused_although_the_station_has_signed_it(site, good, name):
    with pytest.raises(InputError, match="which no archive of feedback has"):
        read_archive(resigned(site, good, lambda inside: inside.update({name: b"x"})), keys(site))


def test_a_member_that_the_manifest_does_not_list_is_refused(site, good):
    inside = members(good)
    inside[f"pictures/{'a' * 64}.jpg"] = b"x"
    with pytest.raises(InputError, match="other members than its manifest lists"):
        read_archive(rewritten(good, inside), keys(site))


def test_links_compression_and_two_members_of_one_name_are_refused(site, good):
    inside = members(good)
    with pytest.raises(InputError, match="is a link"):
        read_archive(rewritten(good, inside, attributes=0o120777 << 16), keys(site))
    with pytest.raises(InputError, match="compressed or encrypted"):
        read_archive(rewritten(good, {**inside, CONTENT: bytes(50 << 20)}, zipfile.ZIP_DEFLATED), keys(site))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(MANIFEST, inside[MANIFEST])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(MANIFEST, inside[MANIFEST])
    good.write_bytes(target.getvalue())
    with pytest.raises(InputError, match="two of one name"):
        read_archive(good, keys(site))


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"[]", "malformed"),
        (b"{", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b'{"entries": [], "examples": [], "more": NaN}', "no JSON"),
        (b'{"entries": [], "examples": [], "more": "\\ud800"}', "no JSON"),
        (json.dumps({"entries": [{"id": 5}], "examples": []}).encode(), "malformed"),
        (json.dumps({"entries": [{"id": "x", "verdict": "right"}], "examples": []}).encode(), "judgement"),
        (json.dumps({"entries": [], "examples": []}).encode(), "without an example"),
        (
            json.dumps(
                {"entries": [], "examples": [{"event": "\x1b[2J", "file": "x", "kind": "a", "label": "b"}]}
            ).encode(),
            "malformed",
        ),
    ],
)
def test_content_that_makes_no_sense_is_refused_although_it_is_signed(site, good, content, wrong):
    with pytest.raises(InputError, match=wrong):
        read_archive(resigned(site, good, lambda inside: inside.update({CONTENT: content})), keys(site))


def test_a_picture_that_is_none_and_a_later_version_are_refused(site, good):
    def swap(inside):
        content = json.loads(inside[CONTENT])
        del inside[content["examples"][0]["file"]]
        content["examples"][0]["file"] = name = f"pictures/{sha256_bytes(b'<svg>')}.jpg"
        inside.update({CONTENT: json.dumps(content).encode(), name: b"<svg>"})

    whole = good.read_bytes()
    with pytest.raises(InputError, match="is no JPEG"):
        read_archive(resigned(site, good, swap), keys(site))
    good.write_bytes(whole)
    with pytest.raises(InputError, match="version 2"):
        read_archive(resigned(site, good, about=lambda manifest: manifest.update(schema_version=2)), keys(site))


def test_what_is_no_file_is_not_opened_since_a_fifo_would_block_for_ever(site, tmp_path):
    os.mkfifo(tmp_path / "fifo.zip")
    with pytest.raises(InputError, match="no file"):
        read_archive(tmp_path / "fifo.zip", keys(site))
