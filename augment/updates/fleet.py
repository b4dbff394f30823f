"""The stations that central knows: enrolled keys, the newest signed report of each, and what follows from them.

FLEET/stations.json          name, group and public key of every enrolled station
FLEET/reports/NAME.json      its newest report, as it was signed
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import make_folder, replace_file
from edge_runtime.settings_reader import check_name
from edge_runtime.text_files import printable
from edge_runtime.updates.identity.reports import (
    FOLDER,
    StationReport,
    moment,
    read_document,
    read_report,
    verified_report,
)
from edge_runtime.updates.identity.reports import SCHEMA as REPORT
from edge_runtime.updates.identity.station_key import public_key, verify
from edge_runtime.updates.state import Stage

STATIONS = "stations.json"
SCHEMA, SCHEMA_VERSION = "rarefault/fleet", 1
MOST_AHEAD = 600.0  # seconds that a station's clock may run ahead of ours without a word
HEADINGS = ("station", "group", "model", "slot", "heard", "blind (24 h)", "update")


@dataclass(frozen=True)
class Station:
    """An enrolled station; `report` is None until the first one has come."""

    name: str
    group: str
    key: Mapping[str, Any]
    report: StationReport | None = None


class Fleet:
    """The folder FLEET. One command at a time writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stations(self) -> list[Station]:
        """Return every enrolled station by name, with its newest report; InputError where a file is unusable."""
        return [
            Station(name, entry["group"], entry["key"], self._report(name, entry["key"]))
            for name, entry in sorted(self._enrolled().items())
        ]

    def enrol(self, document: Mapping[str, Any], group: str, name: str = "", replace: bool = False) -> Station:
        """Enrol the station whose public key `document` is, or whose report, which brings key and name.

        InputError without a name, or where the station has another key already and `replace` is not set.
        """
        key = document
        if document.get("schema") == REPORT:
            key, name = document.get("key") or {}, name or read_report(document).station
            public_key(key)
            verify(document, key)
        if not name:
            raise InputError("a key alone does not say whose it is; give the station's name with --station")
        check_name("the group", group)
        check_name("the station", name)
        key_id, enrolled = public_key(key).keyid, self._enrolled()
        known = enrolled.get(name)
        if known and known["key"]["keyid"] != key_id and not replace:
            raise InputError(
                f"{name} is enrolled with the key {known['key']['keyid'][:16]}, this one is {key_id[:16]}; ask the "
                "station why, and give --new-key if its old key is gone"
            )
        enrolled[name] = {"group": group, "key": {field: key[field] for field in sorted(key)}}
        self._write(enrolled)
        return Station(name, group, key, self._report(name, key))

    def take(self, documents: Iterable[Mapping[str, Any]], now: datetime) -> list[str]:
        """Keep each report that is signed by its station and newer than what is known; return what is wrong, in words.

        An older report never takes the place of a newer one, whoever sends it again; but of one from a clock that ran
        ahead of `now`, so that a station is heard again once its clock is right.
        """
        enrolled, problems = self._enrolled(), []
        for document in documents:
            name = str(document.get("station"))
            if name not in enrolled:
                problems.append(f"{name} is not enrolled; see `rarefault enrol`")
                continue
            try:
                found = verified_report(document, enrolled[name]["key"])
                known = self._report(name, enrolled[name]["key"])
            except InputError as error:
                problems.append(f"{name}: {error}")
                continue
            if known is None or _age_order(found, now) > _age_order(known, now):
                make_folder(self.folder / FOLDER)
                replace_file(self.folder / FOLDER / f"{name}.json", (json.dumps(document, indent=1) + "\n").encode())
        return problems

    def why_not_promote(self, group: str, release: int) -> list[str]:
        """Say in sentences which stations of the group do not run this release after their probation; empty: go on."""
        members = [station for station in self.stations() if station.group == group]
        if not members:
            return [f"no station of the group {group} is enrolled"]
        return [why for station in members if (why := _unproven(station, release))]

    def table(self, now: datetime) -> str:
        """Return a table of every station, for a terminal."""
        rows = [HEADINGS, *(_row(station, now) for station in self.stations())]
        widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
        return "\n".join(printable("  ".join(map(str.ljust, row, widths)).rstrip()) for row in rows)

    def _enrolled(self) -> dict[str, dict[str, Any]]:
        path = self.folder / STATIONS
        if not path.exists():
            return {}
        try:
            content = json.loads(path.read_bytes())
            if content["schema"] != SCHEMA or content["schema_version"] > SCHEMA_VERSION:
                raise ValueError("it is of another kind")
            stations: dict[str, dict[str, Any]] = content["stations"]
            return {name: {"group": entry["group"], "key": entry["key"]} for name, entry in stations.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} lists no stations ({error!r}); restore it from a copy") from error

    def _write(self, stations: Mapping[str, Any]) -> None:
        make_folder(self.folder)
        document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "stations": stations}
        replace_file(self.folder / STATIONS, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())

    def _report(self, name: str, key: Mapping[str, Any]) -> StationReport | None:
        """Return the newest report; None without one that this key has signed, as after a change of keys."""
        path = self.folder / FOLDER / f"{name}.json"
        try:
            return verified_report(read_document(path), key) if path.exists() else None
        except InputError:
            return None


def reports_of_stick(stick: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what stations have left on a stick, and a sentence about each file that is no report.

    InputError where it holds no files of reports.
    """
    paths = sorted(path for path in (stick / FOLDER).glob("*.json") if path.is_file() and not path.is_symlink())
    if not paths:
        raise InputError(f"{stick} holds no {FOLDER}/*.json; stations leave them by `edge-station report`")
    documents, problems = [], []
    for path in paths:
        try:
            documents.append(read_document(path))
        except InputError as error:
            problems.append(str(error))
    return documents, problems


def _age_order(report: StationReport, now: datetime) -> tuple[bool, datetime]:
    """Return what orders the reports of a station: those from the future first, as if they were the oldest."""
    at = moment(report.time)
    return (at - now).total_seconds() <= MOST_AHEAD, at


def _unproven(station: Station, release: int) -> str:
    report = station.report
    if report is None:
        return f"{station.name} has not reported; wait for its heartbeat, or its stick"
    if report.release != release:
        return f"{station.name} reports release {report.release}, not {release}"
    if report.stage != Stage.COMMITTED.value:
        why = f" ({report.reason}: {report.detail})" if report.reason else ""
        return f"{station.name} is at {report.stage} with release {release}{why}"
    if report.digest != report.bundle:
        return f"{station.name} committed release {release}, but another model serves there"
    return ""


def _row(station: Station, now: datetime) -> tuple[str, ...]:
    report = station.report
    if report is None:
        return station.name, station.group, "-", "-", "never", "-", "-"
    release = "" if report.release is None else f" release {report.release}"
    why = ": ".join(part for part in (report.reason, report.detail) if part)
    blind = f"{100 * report.blind_seconds / report.due_seconds:.1f} %" if report.due_seconds else "not watching"
    return (
        station.name,
        station.group,
        f"{report.name} {report.version} ({report.digest[:12]})" if report.digest else "none serves",
        report.slot[:12],
        _ago((now - moment(report.time)).total_seconds()),
        blind,
        f"{report.stage}{release}{f' ({why})' if why else ''}",
    )


def _ago(seconds: float) -> str:
    if seconds < -MOST_AHEAD:
        return "in the future: its clock is ahead"
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"
