"""The feedback archive: one .zip in which judgements, and the pictures that they are about, leave for central.

    manifest.json          what it is, whose, and the SHA-256 of every other member; signed by the station's key
    feedback.json          {"entries": [judgements and undos], "examples": [what the station said of each picture]}
    pictures/SHA256.jpg    clean frames, without a drawn map and without EXIF

The same content gives the same bytes. Nothing but what is listed here leaves: of an event's document a list of fields,
and no text of a person without `redact`.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..bundle.errors import InputError
from ..bundle.files import sha256_bytes
from ..media.image_files import read_image
from ..media.jpeg import encode_jpeg
from ..media.jpeg_metadata import without_metadata
from ..redact import redact
from ..updates.identity.station_key import StationKey
from .store import Entry, picture_subject

SCHEMA, SCHEMA_VERSION = "rarefault/feedback", 1
MANIFEST, CONTENT, PICTURES = "manifest.json", "feedback.json", "pictures"
FOLDER = "feedback"  # on a stick, and below the state folder
FIELDS = (
    *("camera", "region", "time", "clock", "label", "probability", "threshold", "group", "evidence", "supported"),
    *("reason", "top", "votes", "model", "maintenance", "snoozed", "name"),
)
"""Of the document of an event, what leaves; `name` is the file's where a technician's picture was judged."""

MEMBER_BYTES = 400  # that a member costs beside its content, in the archive and in the manifest, and more than that
HEAD_BYTES = 4096  # of the manifest and feedback.json without their lists
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # of time in a .zip


@dataclass(frozen=True)
class Example:
    """A picture that may leave: the clean frame of a judged alarm, a hard example, or a technician's picture.

    `document` is the event's, of which FIELDS leave. `path` is its file, which may be gone by now.
    """

    event: str
    kind: str  # alarm, sample or picture
    document: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class Sender:
    """Who makes archives: the station's name and key, and the `secrets` that no text may hold."""

    station: str
    key: StationKey
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Archive:
    """An archive: its file's `name` and `data`, and the `subjects` in it as `Judgements.note_departed` takes them.

    `left` counts entries and pictures that found no room and wait for the next one; `unusable` names events whose
    picture cannot leave at all, with the reason.
    """

    name: str
    data: bytes
    subjects: tuple[str, ...]
    entries: int
    pictures: int
    left: int
    unusable: Mapping[str, str]


@dataclass
class _Load:
    """What has been taken into an archive so far, and the bytes that it may still take."""

    room: int
    entries: list[dict[str, Any]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    members: dict[str, bytes] = field(default_factory=dict)
    subjects: list[str] = field(default_factory=list)
    left: int = 0
    unusable: dict[str, str] = field(default_factory=dict)


def build_archive(
    sender: Sender, number: int, created: str, entries: Sequence[Entry], examples: Iterable[Example], most: int
) -> Archive | None:
    """Return an archive of at most `most` bytes, which are 64 KiB or more; None where nothing is there to leave.

    `number` counts the archives of a station from 1, `created` is an ISO 8601 time in UTC. Entries come first, and may
    take half of it; then pictures in the order given, until one does not fit.
    """
    load = _Load(most - HEAD_BYTES)
    for entry in entries:
        _take_entry(load, entry, sender.secrets, least=most // 2)
    for example in examples:
        _take_picture(load, example, most - HEAD_BYTES)
    if not load.subjects:
        return None
    content = {"entries": load.entries, "examples": load.examples}
    members = {CONTENT: _compact(content), **dict(sorted(load.members.items()))}
    about = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "station": sender.station, "number": number}
    listed = {name: {"bytes": len(data), "sha256": sha256_bytes(data)} for name, data in members.items()}
    manifest = sender.key.sign({**about, "created": created, "left": load.left, "members": listed})
    data = _zipped({MANIFEST: (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode(), **members})
    return Archive(
        name=f"{sender.station}-{number:05d}-{sha256_bytes(data)[:8]}.zip",
        data=data,
        subjects=tuple(load.subjects),
        entries=len(load.entries),
        pictures=len(load.examples),
        left=load.left,
        unusable=load.unusable,
    )


def clean_picture(path: Path) -> bytes:
    """Return the picture in a file as a JPEG without EXIF; InputError where it cannot be read.

    A JPEG is not encoded anew. Any other kind is, upright, at the encoder's own quality.
    """
    try:
        return without_metadata(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}); it may have made room meanwhile") from error
    except InputError:
        return encode_jpeg(read_image(path).frame)


def _take_entry(load: _Load, entry: Entry, secrets: Sequence[str], least: int) -> None:
    if entry.judgement is not None:
        entry = replace(entry, judgement=replace(entry.judgement, note=redact(entry.judgement.note, secrets)))
    shown = _redacted(entry.to_json())
    cost = len(_compact(shown)) + 1
    if load.left or load.room - cost < least:
        load.left += 1
        return
    load.room -= cost
    load.entries.append(shown)
    load.subjects.append(entry.id)


def _take_picture(load: _Load, example: Example, most: int) -> None:
    if load.room == 0:  # what follows one that did not fit waits too, so that none waits for ever
        load.left += 1
        return
    try:
        data = clean_picture(example.path)
    except InputError as error:
        load.unusable[example.event] = str(error)
        return
    name = f"{PICTURES}/{sha256_bytes(data)}.jpg"
    document = {key: example.document[key] for key in FIELDS if key in example.document}
    shown = _redacted({"event": example.event, "kind": example.kind, "file": name, **document})
    cost = len(data) + len(_compact(shown)) + MEMBER_BYTES
    if cost > most:
        load.unusable[example.event] = f"the picture has {len(data)} bytes, too many for archives of {most}"
    elif cost > load.room:
        load.room, load.left = 0, load.left + 1
    else:
        load.room -= cost
        load.examples.append(shown)
        load.members[name] = data
        load.subjects.append(picture_subject(example.event))


def _redacted(value: Any) -> Any:
    """Return JSON with every text in it redacted: addresses lose their users and passwords."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(entry) for key, entry in value.items()}
    return [_redacted(entry) for entry in value] if isinstance(value, list | tuple) else value


def _compact(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _zipped(members: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _BEGINNING)
            info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every system
            archive.writestr(info, data)
    return target.getvalue()
