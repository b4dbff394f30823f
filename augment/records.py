"""The run folder: one versioned JSON document per finished stage, one journal per unfinished stage.

    RUN/<stage>/v0001.json    never overwritten; the newest whole one counts
    RUN/<stage>/journal.jsonl what an unfinished stage has done so far

A document's digest leaves out `created`, so that two runs of the same settings on the same data carry equal digests.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file, sha256_bytes

STAGES = ("dataset", "captions", "prompts", "adapter", "synthetic", "curation", "training", "comparison", "export")
SCHEMA_VERSION = 1

Record = dict[str, Any]


@dataclass(frozen=True)
class Document:
    """What one stage found, made or judged.

    `parent` is the digest of the input document (for the first stage, of the data source). `settings` and `models`
    are what the result depends on; `summary` holds what is true of the whole and not of one record.
    """

    stage: str
    parent: str | None
    settings: Mapping[str, Any]
    models: Mapping[str, Any]
    records: Sequence[Record]
    summary: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    created: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": f"rarefault/{self.stage}",
            "schema_version": SCHEMA_VERSION,
            "version": self.version,
            "parent": self.parent,
            "created": self.created,
            "settings": dict(self.settings),
            "models": dict(self.models),
            "summary": dict(self.summary),
            "records": list(self.records),
        }

    @property
    def digest(self) -> str:
        """Hex SHA-256 of everything but `created`."""
        content = {key: value for key, value in self.to_json().items() if key != "created"}
        return digest_of(content)


def digest_of(value: Any) -> str:
    """Hex SHA-256 of a JSON value; key order and white space do not count."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def item_seed(run_seed: int, stage: str, item: str) -> int:
    """The 63-bit seed of one item: it depends on the run's seed, the stage and the item, never on order or retries."""
    return int(sha256_bytes(f"{run_seed}/{stage}/{item}".encode())[:16], 16) >> 1


def spread(records: Sequence[Record], count: int) -> list[Record]:
    """`count` of the records, evenly over the list; all where there are no more, or `count` is 0."""
    if not 0 < count < len(records):
        return list(records)
    return [records[at * (len(records) - 1) // max(count - 1, 1)] for at in range(count)]


class RunFolder:
    """Reads and writes the documents and journals under one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stage(self, stage: str) -> Path:
        """The stage's folder, made if absent."""
        folder = self.path / stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def latest(self, stage: str) -> Document | None:
        """The newest whole document of `stage`; damaged ones are passed over."""
        for path in sorted((self.path / stage).glob("v[0-9][0-9][0-9][0-9].json"), reverse=True):
            try:
                return _document(stage, json.loads(path.read_bytes()), path)
            except ValueError:  # half a file from a foreign copy; an older whole one still counts
                continue
        return None

    def require(self, stage: str) -> Document:
        """The newest document of `stage`, made from the newest of the stage before it, and so on back to the first.

        Raises InputError that names the command to run. Without this check a new split could meet images that were
        generated from what is now a test image.
        """
        document = self.latest(stage)
        if document is None:
            raise InputError(f"{self.path} holds no {stage} document yet; run `{self._command(stage)}` first")
        place = STAGES.index(stage)
        if place and self.require(STAGES[place - 1]).digest != document.parent:
            raise InputError(
                f"the {stage} document of {self.path} was made from an earlier {STAGES[place - 1]} document; "
                f"run `{self._command(stage)}` again"
            )
        return document

    def _command(self, stage: str) -> str:
        return f"rarefault {COMMANDS[stage]} {self.path / 'pipeline.toml'}"

    def finished(
        self, stage: str, parent: str | None, settings: Mapping[str, Any], models: Mapping[str, Any]
    ) -> Document | None:
        """The newest document if it was made from exactly these inputs, so that the stage need not run again."""
        document = self.latest(stage)
        if document is None:
            return None
        made_from = [document.parent, document.settings, document.models]
        same = digest_of([parent, dict(settings), dict(models)]) == digest_of(made_from)
        return document if same else None

    def write(self, document: Document) -> Document:
        """Give `document` the next version and today's date, and put it on disk whole."""
        folder = self.stage(document.stage)
        taken = [int(match[1]) for path in folder.iterdir() if (match := re.fullmatch(r"v(\d{4})\.json", path.name))]
        stamped = Document(
            stage=document.stage,
            parent=document.parent,
            settings=document.settings,
            models=document.models,
            records=document.records,
            summary=document.summary,
            version=max(taken, default=0) + 1,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        text = json.dumps(stamped.to_json(), indent=1, ensure_ascii=False) + "\n"
        replace_file(folder / f"v{stamped.version:04d}.json", text.encode())
        return stamped

    def journal(self, stage: str, key: Any) -> "Journal":
        """The stage's journal for exactly the inputs that `key` (any JSON value) stands for."""
        return Journal(self.stage(stage) / "journal.jsonl", digest_of(key))


# The command that makes each stage's document.
COMMANDS = {
    "dataset": "dataset",
    "captions": "caption",
    "prompts": "refine",
    "adapter": "adapt",
    "synthetic": "generate",
    "curation": "curate",
    "training": "train",
    "comparison": "compare",
    "export": "export",
}


def _document(stage: str, content: Any, path: Path) -> Document:
    if not isinstance(content, dict) or content.get("schema") != f"rarefault/{stage}":
        raise ValueError(f"{path} is not a rarefault/{stage} document")
    if content["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema_version {content['schema_version']}, this program reads {SCHEMA_VERSION}: "
            "use the version of rarefault that wrote it"
        )
    names = ("parent", "settings", "models", "records", "summary", "version", "created")
    try:
        return Document(stage=stage, **{name: content[name] for name in names})
    except KeyError as missing:
        raise ValueError(f"{path} lacks {missing}") from missing


class Journal:
    """Finished items of an unfinished stage, one JSON line each, keyed by `id`.

    A line counts only when it is whole; a journal begun from other inputs is thrown away.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key

    def read(self) -> dict[str, Record]:
        """The records so far by id, in the order in which they were added. Comes before the first `add`."""
        if not self.path.exists():
            return {}
        content = self.path.read_bytes()
        head, *lines, cut_off = content.split(b"\n")
        if head != self.key.encode():
            self.clear()
            return {}
        if cut_off:  # a kill came in the middle of a line; what is added must not continue it
            os.truncate(self.path, len(content) - len(cut_off))
        return {record["id"]: record for record in map(json.loads, lines)}

    def add(self, records: Iterable[Record]) -> None:
        """Append `records` and wait until the disk has them."""
        lines = [json.dumps(record, ensure_ascii=False) for record in records]
        if not self.path.exists():
            replace_file(self.path, self.key.encode() + b"\n")
        with self.path.open("ab") as file:
            file.write("".join(line + "\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def clear(self) -> None:
        """The stage's document is written: the journal has done its work."""
        self.path.unlink(missing_ok=True)
