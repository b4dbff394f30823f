import json
from dataclasses import asdict

import pytest

pytest.importorskip("securesystemslib", reason="the extra `station` is not installed")

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.updates.identity.reports import (
    MAX_REPORT,
    StationReport,
    read_document,
    read_report,
    signed_report,
    verified_report,
    write_report,
)
from edge_runtime.updates.identity.station_key import StationKey, open_station_key

REPORT = StationReport(
    station="north-7", time="2026-11-26T10:00:00.000Z", name="demo", version="1.0.0", digest="d" * 64, slot="d" * 64,
    stage="committed", release=3, bundle="d" * 64, reason="", detail="", since="2026-11-26T09:00:00.000Z",
    due_seconds=86400, blind_seconds=12.5,
)  # fmt: skip


def signed(key: StationKey) -> dict[str, object]:
    return signed_report(asdict(REPORT), key)


def test_a_report_comes_back_from_a_stick_as_it_was_signed(tmp_path):
    key = open_station_key(tmp_path / "state")
    path = write_report(tmp_path, signed(key))
    assert path == tmp_path / "reports" / "north-7.json"
    assert verified_report(read_document(path), key.public) == REPORT


def test_a_report_brings_the_key_that_central_enrols(tmp_path):
    key = open_station_key(tmp_path)
    assert signed(key)["key"] == key.public


def test_a_report_that_another_key_signed_is_refused(tmp_path):
    ours, others = open_station_key(tmp_path / "a"), open_station_key(tmp_path / "b")
    with pytest.raises(InputError, match="signed by the key"):
        verified_report(signed(others), ours.public)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "rarefault/event"},
        {"station": "../etc"},
        {"time": "yesterday"},
        {"stage": "splendid"},
        {"release": "3"},
        {"release": True},
        {"blind_seconds": float("nan")},
        {"blind_seconds": "much"},
        {"digest": None},
    ],
)
def test_what_is_no_report_is_refused(tmp_path, change):
    document = {**signed(open_station_key(tmp_path)), **change}
    with pytest.raises(InputError, match="no report of a station"):
        read_report(document)


@pytest.mark.parametrize("text", ["[]", "{", "", "[" * 10_000, json.dumps({"a": "b" * MAX_REPORT})])
def test_a_file_that_holds_no_small_object_is_refused(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(InputError, match="copy it again"):
        read_document(tmp_path / "report.json")


def test_no_report_is_written_where_a_link_on_the_stick_leads(tmp_path):
    key = open_station_key(tmp_path / "updates")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "reports").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError, match="is a link"):
        write_report(tmp_path / "stick", signed(key))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_stick_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "reports").write_text("a file where the folder would be")
    with pytest.raises((InputError, UnavailableError), match="cannot be written"):
        write_report(tmp_path, signed(open_station_key(tmp_path / "state")))
