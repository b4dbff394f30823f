import json
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.updates.fleet import Fleet, reports_of_stick
from edge_runtime.bundle.errors import InputError
from edge_runtime.updates.identity.reports import StationReport, signed_report, write_report
from edge_runtime.updates.identity.station_key import StationKey, open_station_key

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
COMMITTED = StationReport(
    station="north-7", time="2026-11-26T11:59:00.000Z", name="demo", version="2.0.0", digest="d" * 64, slot="d" * 64,
    stage="committed", release=3, bundle="d" * 64, reason="", detail="", since="2026-11-26T09:00:00.000Z",
    due_seconds=1000, blind_seconds=26,
)  # fmt: skip


def document(key: StationKey, **changes: object) -> dict[str, object]:
    return signed_report(asdict(replace(COMMITTED, **changes)), key)


@pytest.fixture
def key(tmp_path: Path) -> StationKey:
    return open_station_key(tmp_path / "north-7")


@pytest.fixture
def other(tmp_path: Path) -> StationKey:
    return open_station_key(tmp_path / "south-1")


@pytest.fixture
def fleet(tmp_path: Path, key: StationKey) -> Fleet:
    """A fleet of one station in the group one, which has not reported yet."""
    fleet = Fleet(tmp_path / "fleet")
    fleet.enrol(document(key), "one")
    return fleet


def test_a_report_brings_name_and_key_and_a_key_alone_needs_a_name(tmp_path, key, other):
    fleet = Fleet(tmp_path / "fleet")
    fleet.enrol(document(key), "one")
    fleet.enrol(other.public, "three", "south-1")
    assert [(station.name, station.group) for station in fleet.stations()] == [("north-7", "one"), ("south-1", "three")]
    with pytest.raises(InputError, match="give the station's name with --station"):
        fleet.enrol(other.public, "three")


def test_another_key_is_only_enrolled_on_purpose(fleet, key, other):
    with pytest.raises(InputError, match="--new-key"):
        fleet.enrol(document(other), "one")
    assert fleet.stations()[0].key == key.public
    fleet.enrol(document(other), "one", replace=True)
    assert fleet.stations()[0].key == other.public


def test_a_report_whose_key_is_not_the_one_that_signed_it_is_not_enrolled(tmp_path, key, other):
    posing = other.sign({**document(key), "key": key.public})
    with pytest.raises(InputError, match="signed by the key"):
        Fleet(tmp_path / "fleet").enrol(posing, "one")


def test_the_table_tells_model_slot_heartbeat_blind_time_and_update(fleet, key):
    fleet.take([document(key, stage="failed", release=4, reason="golden", detail="int8 differs by 3")], NOW)
    row = fleet.table(NOW).splitlines()[1]
    for part in ("north-7  one", "demo 2.0.0 (dddddddddddd)", "60 s ago", "2.6 %", "failed release 4 (golden: int8"):
        assert part in row


def test_forged_unknown_and_old_reports_change_nothing(fleet, key, other):
    assert fleet.take([document(key)], NOW) == []
    problems = fleet.take(
        [
            document(other, stage="failed"),
            document(other, station="south-1"),
            {**document(key), "stage": "failed"},
            document(key, time="2026-11-26T11:00:00.000Z", stage="failed"),  # sent again by whoever has kept it
            {"station": "north-7"},
        ],
        NOW,
    )
    assert [problem.split()[0] for problem in problems] == ["north-7:", "south-1", "north-7:", "north-7:"]
    assert fleet.stations()[0].report == COMMITTED


def test_a_station_is_heard_again_once_its_clock_that_ran_ahead_is_right(fleet, key):
    fleet.take([document(key, time="2040-01-01T00:00:00Z", stage="failed")], NOW)
    assert "its clock is ahead" in fleet.table(NOW)
    fleet.take([document(key)], NOW)
    assert fleet.stations()[0].report == COMMITTED
    fleet.take([document(key, time="2040-01-01T00:00:00Z", stage="failed")], NOW)
    assert fleet.stations()[0].report == COMMITTED


@pytest.mark.parametrize(
    "changes",
    [
        {"due_seconds": "12"}, {"due_seconds": True}, {"blind_seconds": None}, {"blind_seconds": -1},
        {"due_seconds": float("1e300")}, {"time": "2026-11-26T11:59:00"}, {"time": "today"}, {"release": True},
        {"station": "../../north-7"}, {"stage": "elsewhere"},
    ],
)  # fmt: skip
def test_a_signed_report_that_makes_no_sense_is_told_and_breaks_nothing(fleet, key, changes):
    sensible = document(key)
    (problem,) = fleet.take([key.sign({**sensible, **changes, "station": changes.get("station", "north-7")})], NOW)
    assert "north-7" in problem
    assert "never" in fleet.table(NOW)


def test_what_stations_say_cannot_write_to_the_terminal(fleet, key, tmp_path):
    fleet.take([document(key, name="\x1b[2J", detail="one\ntwo\x1b]0;title\a", stage="failed")], NOW)
    assert len(fleet.table(NOW).splitlines()) == 2
    assert "\x1b" not in fleet.table(NOW)
    (tmp_path / "stick" / "reports").mkdir(parents=True)
    (tmp_path / "stick" / "reports" / "x.json").write_text(json.dumps({"station": "\x1b[2J"}))
    done = CliRunner().invoke(main, ["fleet", "--fleet", str(fleet.folder), "--stick", str(tmp_path / "stick")])
    assert "\x1b" not in done.output
    assert "is not enrolled" in done.output


def test_a_stick_brings_reports(tmp_path, fleet, key):
    write_report(tmp_path / "stick", document(key))
    (tmp_path / "stick" / "reports" / "a.json").write_text("[" * 1000)
    documents, (problem,) = reports_of_stick(tmp_path / "stick")
    assert "a.json holds no JSON object" in problem
    assert fleet.take(documents, NOW) == []
    assert fleet.stations()[0].report == COMMITTED
    with pytest.raises(InputError, match="edge-station report"):
        reports_of_stick(tmp_path / "north-7")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"release": 2}, "reports release 2, not 3"),
        ({"stage": "probation"}, "is at probation"),
        ({"stage": "failed", "reason": "golden"}, "is at failed with release 3 (golden"),
        ({"digest": "e" * 64}, "another model serves"),
    ],
)
def test_a_group_holds_a_release_back_until_each_station_has_committed_it(fleet, key, changes, why):
    assert fleet.why_not_promote("one", 3) == ["north-7 has not reported; wait for its heartbeat, or its stick"]
    fleet.take([document(key, time="2026-11-26T10:00:00Z", **changes)], NOW)
    (sentence,) = fleet.why_not_promote("one", 3)
    assert why in sentence
    fleet.take([document(key)], NOW)
    assert fleet.why_not_promote("one", 3) == []


def test_a_group_without_stations_proves_nothing(fleet):
    assert fleet.why_not_promote("three", 3) == ["no station of the group three is enrolled"]


def test_a_damaged_list_is_told_and_not_overwritten(fleet, key):
    path = fleet.folder / "stations.json"
    path.write_text(json.dumps({"schema": "another"}))
    with pytest.raises(InputError, match="restore it"):
        fleet.enrol(document(key), "one")


def test_the_commands_enrol_a_stick_and_show_it(tmp_path, key, other):
    path = write_report(tmp_path / "stick", document(key))
    write_report(tmp_path / "stick", document(other, station="south-1"))
    where = ["--fleet", str(tmp_path / "fleet")]
    done = CliRunner().invoke(main, ["enrol", str(path), *where, "--group", "one"])
    assert done.output == f"north-7 is enrolled in the group one with the key {key.public['keyid'][:16]}\n"
    done = CliRunner().invoke(main, ["fleet", *where, "--stick", str(tmp_path / "stick")])
    assert "committed release 3" in done.output
    assert (done.exit_code, "south-1 is not enrolled" in done.output) == (1, True)
