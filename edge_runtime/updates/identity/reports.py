"""What a station reports of itself to central, signed by its key: the model and slot that serve, the newest update, and
for how long cameras were not watched. A heartbeat carries it, and a stick carries it back as reports/<station>.json.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ...bundle.errors import InputError, UnavailableError, os_errors_as
from ...bundle.files import make_folder, replace_file
from ...clock import from_iso
from ...settings_reader import check_name
from ..state import Stage
from .station_key import StationKey, verify

SCHEMA, SCHEMA_VERSION = "rarefault/station-report", 1
FOLDER = "reports"  # on a stick
MAX_REPORT = 64 << 10  # bytes
MOST_SECONDS = 1e9  # of camera time in a day: ten thousand cameras
TEXTS = ("station", "time", "name", "version", "digest", "slot", "stage", "bundle", "reason", "detail", "since")


@dataclass(frozen=True)
class StationReport:
    """A station at one moment. `time` and `since` are ISO 8601 in UTC by its own clock.

    `name`, `version` and `digest` are of the model that serves from the folder `slot`. `stage` and what follows is the
    newest update; `release` is None where none had a number. `due_seconds` of camera time should have been watched in
    the last 24 hours, `blind_seconds` of it were not.
    """

    station: str
    time: str
    name: str
    version: str
    digest: str
    slot: str
    stage: str
    release: int | None
    bundle: str
    reason: str
    detail: str
    since: str
    due_seconds: float
    blind_seconds: float


def signed_report(content: Mapping[str, Any], key: StationKey) -> dict[str, Any]:
    """Return the document of a report with the fields of `StationReport`, signed by `key`.

    It holds the station's public key for central to enrol. InputError where a field is missing or unusable.
    """
    about = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "key": key.public}
    report = read_report({**about, **content})
    return key.sign({**about, **asdict(report)})


def verified_report(document: Mapping[str, Any], public: Mapping[str, Any]) -> StationReport:
    """Return the report in a document that the key `public` has signed; InputError where it has not, or is none."""
    verify(document, public)
    return read_report(document)


def read_report(document: Mapping[str, Any]) -> StationReport:
    """Return the report in a document, whoever signed it; InputError where it is none."""
    known = {name: document.get(name) for name in StationReport.__dataclass_fields__}
    try:
        if document.get("schema") != SCHEMA or not all(isinstance(known[name], str) for name in TEXTS):
            raise ValueError("fields are missing")
        if not (known["release"] is None or type(known["release"]) is int):
            raise ValueError("the release is no number")
        for seconds in (known["due_seconds"], known["blind_seconds"]):
            if type(seconds) is bool or not isinstance(seconds, int | float) or not 0 <= seconds <= MOST_SECONDS:
                raise ValueError("a time is no number of seconds")
        check_name("the station", str(known["station"]))
        moment(str(known["time"]))
        Stage(known["stage"])
    except (TypeError, ValueError, InputError) as error:
        raise InputError(f"this is no report of a station ({error}); see `edge-station report`") from error
    return StationReport(**known)  # type: ignore[arg-type]


def moment(time: str) -> datetime:
    """Return the moment of an ISO 8601 time that names its zone; ValueError for any other text."""
    found = from_iso(time)
    if found.tzinfo is None:
        raise ValueError(f"{time} names no zone")
    return found


def write_report(folder: Path, document: Mapping[str, Any]) -> Path:
    """Put a signed report below `folder`, a stick, and return its path; UnavailableError where it cannot be written."""
    path = folder / FOLDER / f"{document['station']}.json"
    with os_errors_as(UnavailableError, f"{path} cannot be written", "check the stick, and whether it is read-only"):
        make_folder(path.parent)
        if path.parent.is_symlink():
            raise UnavailableError(f"{path.parent} is a link, which may lead off the stick; remove it")
        replace_file(path, (json.dumps(document, indent=1) + "\n").encode())
    return path


def read_document(path: Path) -> dict[str, Any]:
    """Return a JSON object from a file of bounded size; InputError where it holds none."""
    with os_errors_as(InputError, f"{path} cannot be read", "check the path"), path.open("rb") as file:
        data = file.read(MAX_REPORT + 1)
    try:
        document = json.loads(data) if len(data) <= MAX_REPORT else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InputError(f"{path} holds no JSON object of at most {MAX_REPORT} bytes; copy it again")
    return document
