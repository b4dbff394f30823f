"""Reads a feedback archive that anybody may have made: nothing in it counts before its signature and digests fit.

Members are stored and not compressed, so that no member is larger than the file; their names are a fixed few.
"""

import base64
import io
import json
import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_bytes
from edge_runtime.bundle.zip_errors import ZIP_ERRORS
from edge_runtime.judgements.archive import CONTENT, MANIFEST, PICTURES, SCHEMA, SCHEMA_VERSION
from edge_runtime.judgements.records import read_judgement
from edge_runtime.media.image_files import decode_image
from edge_runtime.updates.identity.station_key import verify

MOST_BYTES = 128 << 20  # of an archive
MOST_MEMBERS = 20_000
_PICTURE = re.compile(PICTURES + r"/([0-9a-f]{64})\.jpg")
_TEXT = 200  # characters of an id or a name


@dataclass(frozen=True)
class ReceivedArchive:
    """A verified archive: its SHA-256, its station, and what is in it.

    `entries` are judgements and undos, `examples` what the station said of each picture, with its `file` in `pictures`.
    """

    digest: str
    station: str
    number: int
    created: str
    entries: tuple[Mapping[str, Any], ...]
    examples: tuple[Mapping[str, Any], ...]
    pictures: Mapping[str, bytes]


def read_archive(path: Path, keys: Mapping[str, Mapping[str, Any]]) -> ReceivedArchive:
    """Return what is in the archive at `path`, or in the event that carried it; `keys` are those of enrolled stations.

    InputError says what is wrong: the file, its signature, its station, or its content. Nothing of it is used then.
    """
    try:
        if not stat.S_ISREG((status := path.stat()).st_mode):
            raise InputError("it is no file; give the .zip that `edge-station feedback` wrote")
        if (size := status.st_size) > MOST_BYTES:
            raise InputError(f"it has {size} bytes, an archive of feedback has at most {MOST_BYTES}")
        data = _unpacked(path.read_bytes())
        members = _members(data)
        manifest = _verified(members.pop(MANIFEST), keys)
        _check_members(manifest, members)
        entries, examples = _content(members.pop(CONTENT), members)
        for picture in members.values():
            if not picture.startswith(b"\xff\xd8\xff"):
                raise InputError("a picture in it is no JPEG")
            decode_image(picture)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except InputError as error:
        raise InputError(f"{path} is not taken: {error}") from error
    number, created = manifest["number"], str(manifest["created"])
    return ReceivedArchive(sha256_bytes(data), manifest["station"], number, created, entries, examples, members)


def _unpacked(data: bytes) -> bytes:
    """Return the archive in the document of an event of feedback; what is no JSON object is taken as it is."""
    if not data.startswith(b"{"):
        return data
    try:
        return base64.b64decode(_json(data, "event")["pictures"]["archive"]["data"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "it is no event that carries an archive of feedback; give the .zip, or the whole event"
        ) from error


def _members(data: bytes) -> dict[str, bytes]:
    """Return every member of a .zip by its name; InputError for one that no archive of ours has."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            names = [info.filename for info in infos]
            if len(infos) > MOST_MEMBERS or len(set(names)) < len(names):
                raise InputError("it has too many members, or two of one name")
            for info in infos:
                _check_info(info)
            if sum(info.file_size for info in infos) > len(data):
                raise InputError("its members claim more bytes than it has")
            members = {info.filename: archive.read(info) for info in infos}
    except ZIP_ERRORS as error:
        raise InputError(f"it is no whole .zip ({error}); copy it again") from error
    if MANIFEST not in members or CONTENT not in members:
        raise InputError(f"it lacks {MANIFEST} or {CONTENT}; give the file that `edge-station feedback` wrote")
    return members


def _check_info(info: zipfile.ZipInfo) -> None:
    if info.filename not in (MANIFEST, CONTENT) and not _PICTURE.fullmatch(info.filename):
        raise InputError(f"it holds {info.filename[:_TEXT]!r}, which no archive of feedback has")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise InputError(f"{info.filename} in it is a link, which no archive of feedback has")
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise InputError(f"{info.filename} in it is compressed or encrypted, which no archive of feedback is")


def _verified(data: bytes, keys: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the manifest, which the enrolled key of its station has signed."""
    manifest = _json(data, MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise InputError(f"its {MANIFEST} is of another kind; give the file that `edge-station feedback` wrote")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"it has version {manifest.get('schema_version')!r}; install the rarefault that reads it")
    station = manifest.get("station")
    if not isinstance(station, str) or station not in keys:
        raise InputError(f"its station {str(station)[:_TEXT]!r} is not enrolled; see `rarefault enrol`")
    verify(manifest, keys[station])
    if type(manifest.get("number")) is not int or not isinstance(manifest.get("created"), str):
        raise InputError(f"its {MANIFEST} has no number or no time")
    return manifest


def _check_members(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    listed = manifest.get("members")
    if not isinstance(listed, dict) or set(listed) != set(members):
        raise InputError("it holds other members than its manifest lists")
    for name, data in members.items():
        digest = sha256_bytes(data)
        known = listed[name] if isinstance(listed[name], dict) else {}
        picture = _PICTURE.fullmatch(name)
        if known.get("sha256") != digest or known.get("bytes") != len(data) or (picture and picture[1] != digest):
            raise InputError(f"{name} in it is not what its manifest lists; copy it again")


def _content(
    data: bytes, pictures: Mapping[str, bytes]
) -> tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]:
    """Return the entries and the examples, each of them checked."""
    content = _json(data, CONTENT)
    try:
        entries, examples = content["entries"], content["examples"]
        for entry in entries:
            _check_text(entry["id"])
            if "undoes" in entry:
                _check_text(entry["undoes"])
            else:
                read_judgement(entry)
        for example in examples:
            for key in ("event", "file", "kind", "label"):
                _check_text(example[key])
            for key in ("camera", "time"):
                _check_text(example.get(key, ""))
        unlisted = {example["file"] for example in examples} ^ set(pictures)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"its {CONTENT} is malformed ({error!r})") from error
    if unlisted:
        raise InputError(f"{sorted(unlisted)[0]} is a picture without an example, or an example without a picture")
    return tuple(entries), tuple(examples)


def _check_text(text: object) -> None:
    if not isinstance(text, str) or len(text) > _TEXT or not text.isprintable():
        raise TypeError(f"{str(text)[:_TEXT]!r} is no name")


def _json(data: bytes, name: str) -> Any:
    """Return what is JSON; InputError also for numbers and halves of characters that no file of ours could hold."""
    try:
        value = json.loads(data)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise InputError(f"its {name} is no JSON") from error
    return value
