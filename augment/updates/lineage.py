"""Where a verdict comes from: from an event to the bundle that gave it, the run, the data set and the commit."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment.records import DATASET, RunFolder
from edge_runtime.bundle.errors import InputError, os_errors_as
from edge_runtime.bundle.files import sha256_bytes
from edge_runtime.bundle.store import MANIFEST, MAX_MANIFEST
from edge_runtime.text_files import printable

MAX_EVENT = 32 << 20  # bytes: a webhook's event may hold its pictures
HASHED = re.compile(r"([0-9a-f]{64}\.)?" + re.escape(MANIFEST))  # as a repository with consistent snapshots names it


@dataclass(frozen=True)
class Lineage:
    """An event and what it goes back to; what could not be found out is told in `problems`, in sentences."""

    event: Mapping[str, Any]
    model: Mapping[str, str]
    manifest: Mapping[str, Any]  # empty where the bundle was not found
    problems: Sequence[str]

    def to_text(self) -> str:
        """Return one line, from the event to the commit, and a line for each problem."""
        kind = " ".join(str(self.event[part]) for part in ("kind", "label") if self.event.get(part))
        where = " ".join(str(self.event[part]) for part in ("station", "camera") if self.event.get(part))
        made = self.manifest.get("lineage", {})
        steps = [
            f"event {self.event.get('id', 'without an id')} ({kind} of {where}, {self.event.get('time', 'no time')})",
            f"bundle {self.model['name']} {self.model['version']} {self.model['digest']}",
        ]
        if self.manifest:
            steps += [
                f"run {made.get('run', 'unknown')}",
                f"data set {made.get('documents', {}).get('dataset', 'unknown')}",
                f"commit {made.get('commit') or 'unknown'} (rarefault {made.get('rarefault', 'unknown')})",
            ]
        return "\n".join(map(printable, [" <- ".join(steps), *self.problems]))


def trace(event: Path, places: Sequence[Path], run: Path | None = None) -> Lineage:
    """Follow an event back. `places` are bundles, folders that hold bundles, and repositories.

    With `run` its data set is held against the digest in the bundle. InputError where the event is none.
    """
    document = _read_event(event)
    model: dict[str, str] = document["model"]
    problems: list[str] = []
    manifest = _find(places, str(model["digest"]))
    if manifest is None:
        looked = ", ".join(map(str, places)) or "nowhere"
        problems.append(f"no bundle with this digest was found (looked in {looked}); give --repository or --bundle")
    elif run is not None:
        problems += _other_data(manifest, run)
    return Lineage(document, model, manifest or {}, problems)


def _read_event(path: Path) -> dict[str, Any]:
    with os_errors_as(InputError, f"{path} cannot be read", "check the path"), path.open("rb") as file:
        data = file.read(MAX_EVENT + 1)
    try:
        document = json.loads(data) if len(data) <= MAX_EVENT else None
        if isinstance(document, dict):
            model = document["model"]
            if isinstance(model, dict) and all(isinstance(model[part], str) for part in ("name", "version", "digest")):
                return document
    except (ValueError, KeyError, RecursionError):
        pass
    raise InputError(
        f"{path} is no event with a model; save one as its receiver got it, or a line of `edge-station events --jsonl` "
        "or of `edge-classify --format jsonl`"
    )


def _find(places: Iterable[Path], digest: str) -> dict[str, Any] | None:
    """Return the manifest whose SHA-256 is `digest`, out of whole bundles and repositories alike."""
    for place in places:
        for path in _manifests(place, digest):
            if path.stat().st_size <= MAX_MANIFEST and sha256_bytes(data := path.read_bytes()) == digest:
                manifest: dict[str, Any] = json.loads(data)  # its digest was given out by a station that has read it
                return manifest
    return None


def _manifests(place: Path, digest: str) -> Iterator[Path]:
    """Yield manifests in `place` itself, in folders below it, and where a repository keeps those of this bundle."""
    for folder in (place, *sorted(place.glob("*/")), place / "targets" / "bundles" / digest):
        if folder.is_dir():
            yield from (path for path in sorted(folder.iterdir()) if HASHED.fullmatch(path.name) and path.is_file())


def _other_data(manifest: Mapping[str, Any], run: Path) -> list[str]:
    own = RunFolder(run).require(DATASET).digest
    made = manifest.get("lineage", {}).get("documents", {}).get("dataset")
    return [] if made == own else [f"the newest data set of {run} is {own}, another one than the bundle's"]
