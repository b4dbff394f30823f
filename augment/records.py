"""The run folder: one versioned JSON document per finished stage, one journal per unfinished stage.

    RUN/<stage>/v0001.json    never overwritten; the newest whole one counts
    RUN/<stage>/journal.jsonl what an unfinished stage has done so far; journal-<worker>.jsonl what a worker has

A document's digest leaves out `created`, so that two runs of the same settings on the same data carry equal digests.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from augment import record_types as types
from augment.json_objects import JsonObject, from_json, plain, read_listing, write_listing
from augment.settings import as_json
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import lock_file, replace_file, sha256_bytes

SCHEMA_VERSION = 1
JOURNAL, LOCK = "journal.jsonl", ".lock"
ID_DIGITS = 16  # hex digits of the SHA-256 of a real picture's file, which is its id

Identity: TypeAlias = Mapping[str, str] | str  # of a model: name, and sha256 or revision; or a digest alone
R = TypeVar("R", bound=JsonObject)
S = TypeVar("S", bound=JsonObject)
T = TypeVar("T")


@dataclass(frozen=True)
class Stage(Generic[R, S]):
    """One stage of the pipeline: its command, the document it writes, and what that holds."""

    command: str
    document: str
    help: str
    record: type[R]
    summary: type[S]
    needs_models: bool = False  # whether `run` takes the pretrained models
    spreads: bool = False  # whether `run` takes the engine that works on its batches

    @property
    def module(self) -> str:
        """The module whose `run` makes the document; the one of `export` is not called like the package."""
        return f"augment.stages.{self.command if self.command != 'export' else 'pack'}"


DATASET = Stage(
    "dataset", "dataset", "Read, check, group and split the real images", types.DatasetRecord, types.DatasetSummary
)
CAPTIONS = Stage(
    "caption",
    "captions",
    "Let BLIP describe every training image",
    types.CaptionRecord,
    types.NoSummary,
    needs_models=True,
    spreads=True,
)
PROMPTS = Stage(
    "refine",
    "prompts",
    "Let GPT-2 turn captions into varied prompts",
    types.PromptRecord,
    types.PromptSummary,
    needs_models=True,
    spreads=True,
)
ADAPTER = Stage(
    "adapt",
    "adapter",
    "Teach Stable Diffusion the station's look, where a method asks for it",
    types.AdapterRecord,
    types.AdapterSummary,
    needs_models=True,
)
SYNTHETIC = Stage(
    "generate",
    "synthetic",
    "Let Stable Diffusion paint what each class lacks",
    types.GeneratedRecord,
    types.SyntheticSummary,
    needs_models=True,
    spreads=True,
)
CURATION = Stage(
    "curate",
    "curation",
    "Reject generated images that are blank, copies or too near the test set",
    types.CurationRecord,
    types.CurationSummary,
    spreads=True,
)
TRAINING = Stage(
    "train",
    "training",
    "Train the classifier on real, synthetic and both",
    types.TrainingRecord,
    types.TrainingSummary,
    spreads=True,
)
COMPARISON = Stage(
    "compare", "comparison", "Measure every arm on the locked test set", types.ComparisonRecord, types.ComparisonSummary
)
EXPORT = Stage(
    "export", "export", "Pack the chosen classifier as a bundle for the edge", types.ExportRecord, types.ExportSummary
)
# In the order of the pipeline: each one's document is made from the one before.
STAGES: tuple[Stage[Any, Any], ...] = (
    DATASET, CAPTIONS, PROMPTS, ADAPTER, SYNTHETIC, CURATION, TRAINING, COMPARISON, EXPORT,
)  # fmt: skip


@dataclass(frozen=True)
class StageInputs:
    """What a stage's result depends on.

    `parent` is the digest of the input document (for the first stage, of the data source). `defaults` are what settings
    are that nobody sets; they decide nothing but which older document counts as made from the same settings.
    """

    parent: str | None
    settings: types.PlainJson = field(default_factory=dict)
    models: Mapping[str, Identity] = field(default_factory=dict)
    defaults: types.PlainJson = field(default_factory=dict, compare=False)
    left_out: Sequence[str] = field(
        default=(), compare=False
    )  # settings that changed nothing in older documents either

    @classmethod
    def of(
        cls,
        parent: str | None,
        section: object,
        others: types.PlainJson,
        models: Mapping[str, Identity],
        leaving_out: Sequence[str] = (),
    ) -> "StageInputs":
        """Make the inputs of a stage that depends on `others` and on a `section` of the settings, but for some keys."""
        own, defaults = as_json(section), as_json(type(section)())
        settings = {**others, **{key: value for key, value in own.items() if key not in leaving_out}}
        return cls(parent, settings, models, defaults, tuple(leaving_out))

    def to_json(self) -> dict[str, object]:
        """Return the object that documents and the keys of journals hold."""
        return {"parent": self.parent, "settings": dict(self.settings), "models": dict(self.models)}

    def settings_of(self, earlier: "StageInputs") -> dict[str, object]:
        """Return the settings of `earlier` that matter; one that it does not know has the default that it has here."""
        known = {key: value for key, value in earlier.settings.items() if key not in self.left_out}
        return {**{key: self.defaults[key] for key in self.settings.keys() & self.defaults.keys()}, **known}

    def same(self, earlier: "StageInputs") -> bool:
        """Whether a document made from `earlier` is the one that these inputs would make."""
        before = replace(earlier, settings=self.settings_of(earlier))
        return digest_of(self.to_json()) == digest_of(before.to_json())


@dataclass(frozen=True)
class Document(Generic[R, S]):
    """What one stage found, made or judged; `summary` holds what is true of the whole and not of one record."""

    stage: Stage[R, S]
    inputs: StageInputs
    records: Sequence[R]
    summary: S
    version: int = 1
    created: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the document as it stands on disk; `plain` turns its objects into JSON."""
        return {
            "schema": f"rarefault/{self.stage.document}",
            "schema_version": SCHEMA_VERSION,
            "version": self.version,
            "parent": self.inputs.parent,
            "created": self.created,
            "settings": self.inputs.settings,
            "models": self.inputs.models,
            "summary": self.summary,
            "records": self.records,
        }

    @property
    def digest(self) -> str:
        """Hex SHA-256 of everything but `created`."""
        content = {key: value for key, value in self.to_json().items() if key != "created"}
        found = hashlib.sha256()
        for place, key in enumerate(sorted(content)):  # piece by piece, what `digest_of` would hash in one
            found.update(f'{"," if place else "{"}"{key}":'.encode())
            if key != "records":
                found.update(_compact(content[key]))
                continue
            found.update(b"[")
            for number, record in enumerate(self.records):
                found.update((b"," if number else b"") + _compact(record))
            found.update(b"]")
        found.update(b"}")
        return found.hexdigest()

    def model(self, role: str) -> Mapping[str, str]:
        """Return what identifies the model of `role`."""
        found = self.inputs.models[role]
        return {"sha256": found} if isinstance(found, str) else found


def digest_of(value: object) -> str:
    """Return the hex SHA-256 of a JSON value or JsonObject; key order and white space do not count."""
    return sha256_bytes(_compact(value))


def _compact(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain).encode()


def item_seed(run_seed: int, stage: str, item: str) -> int:
    """Return the 63-bit seed of an item: it depends on the run's seed, the stage and the item, never on the order."""
    return int(sha256_bytes(f"{run_seed}/{stage}/{item}".encode())[:16], 16) >> 1


def spread(records: Sequence[T], count: int) -> list[T]:
    """Return `count` of the records, evenly over the list; all where there are no more, or `count` is 0."""
    if not 0 < count < len(records):
        return list(records)
    return [records[at * (len(records) - 1) // max(count - 1, 1)] for at in range(count)]


class RunFolder:
    """Reads and writes the documents and journals under one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: WeakValueDictionary[object, Document[Any, Any]] = WeakValueDictionary()  # as long as a stage is
        self._lineages: dict[object, _Lineage] = {}

    def __reduce__(self) -> tuple[type["RunFolder"], tuple[Path]]:
        """Let another process read the documents itself."""
        return RunFolder, (self.path,)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands from working on this run for as long as the context; a killed one keeps nobody out.

        Raises UnavailableError where another does. Where nothing can be written, or locked, as on some network drives,
        there is no such guard.
        """
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):
                file = held.enter_context((self.path / LOCK).open("ab"))
                try:
                    lock_file(file)
                except (BlockingIOError, PermissionError) as error:  # the second on Windows
                    raise UnavailableError(
                        f"another command works on {self.path}; wait until it has ended, and type this one again"
                    ) from error
            yield

    def subfolder(self, name: str) -> Path:
        """Return the folder `name` of the run, such as a stage's, made if absent."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def latest(self, stage: Stage[R, S]) -> Document[R, S] | None:
        """Return the newest whole document of `stage`; damaged ones are passed over."""
        for path in self._versions(stage):
            key = _version(path)
            if key in self._held:
                return self._held[key]
            try:
                document = _document(stage, path)
            except ValueError:  # half a file from a foreign copy; an older whole one still counts
                continue
            self._held[key] = document
            return document
        return None

    def _versions(self, stage: Stage[R, S]) -> list[Path]:
        return sorted((self.path / stage.document).glob("v[0-9][0-9][0-9][0-9].json"), reverse=True)

    def require(self, stage: Stage[R, S]) -> Document[R, S]:
        """Return the newest document of `stage`, made from the newest of the stage before it, and so on to the first.

        Raises InputError that names the command to run. Without this check a new split could meet images that were
        generated from what is now a test image.
        """
        document = self.latest(stage)
        self._require_lineage(stage, None if document is None else document.inputs)
        assert document is not None  # or it would have been asked for
        return document

    def _require_lineage(self, stage: Stage[R, S], made: "StageInputs | _Lineage | None") -> None:
        """Raise InputError where there is no document of `stage`, or its parent is not the newest of the one before."""
        command = f"rarefault {stage.command} {self.path / 'pipeline.toml'}"
        if made is None:
            raise InputError(f"{self.path} holds no {stage.document} document yet; run `{command}` first")
        if not (place := STAGES.index(stage)):
            return
        before = STAGES[place - 1]
        found = self._lineage(before)
        self._require_lineage(before, found)
        if found and found.digest != made.parent:
            raise InputError(
                f"the {stage.document} document of {self.path} was made from an earlier "
                f"{before.document} document; run `{command}` again"
            )

    def _lineage(self, stage: Stage[R, S]) -> "_Lineage | None":
        """Return what identifies the newest document of `stage`; it is read once as long as the file is the same."""
        newest = next(iter(self._versions(stage)), None)
        if newest is None:
            return None
        key = _version(newest)
        if key not in self._lineages:
            if (document := self.latest(stage)) is None:
                return None
            self._lineages[key] = _Lineage(document.digest, document.inputs.parent)
        return self._lineages[key]

    def finished(self, stage: Stage[R, S], inputs: StageInputs) -> Document[R, S] | None:
        """Return the newest document if it was made from exactly these inputs, so that the stage need not run again."""
        document = self.latest(stage)
        return document if document is not None and inputs.same(document.inputs) else None

    def write(self, document: Document[R, S]) -> Document[R, S]:
        """Give `document` the next version and today's date, put it on disk whole, and remove the stage's journal."""
        folder = self.subfolder(document.stage.document)
        taken = [int(match[1]) for path in folder.iterdir() if (match := re.fullmatch(r"v(\d{4})\.json", path.name))]
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        stamped = replace(document, version=max(taken, default=0) + 1, created=created)
        head = {key: value for key, value in stamped.to_json().items() if key != "records"}
        write_listing(folder / f"v{stamped.version:04d}.json", head, "records", stamped.records)
        for path in (folder / JOURNAL, *journal_parts(folder / JOURNAL)):
            path.unlink(missing_ok=True)
        return stamped

    def journal(self, stage: Stage[Any, Any], kind: type[R], key: object) -> "Journal[R]":
        """Return the stage's journal of `kind` objects for the inputs that `key` (any JSON value) stands for."""
        return Journal(self.subfolder(stage.document) / JOURNAL, kind, digest_of(key))


@dataclass(frozen=True)
class _Lineage:
    """Digest of a document, and that of the one which it was made from."""

    digest: str
    parent: str | None


def _version(path: Path) -> tuple[Path, int, int]:
    """Return what changes when the file at `path` does."""
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size


def _document(stage: Stage[R, S], path: Path) -> Document[R, S]:
    content = read_listing(path, "records", lambda record: from_json(stage.record, record))
    if not isinstance(content, dict) or content.get("schema") != f"rarefault/{stage.document}":
        raise ValueError(f"{path} is not a rarefault/{stage.document} document")
    if content["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema_version {content['schema_version']}, this program reads {SCHEMA_VERSION}: "
            "use the version of rarefault that wrote it"
        )
    try:
        return Document(
            stage,
            StageInputs(content["parent"], content["settings"], content["models"]),
            content["records"],
            from_json(stage.summary, content["summary"]),
            content["version"],
            content["created"],
        )
    except KeyError as missing:
        raise ValueError(f"{path} lacks {missing}") from missing


def journal_parts(path: Path) -> list[Path]:
    """Return the files beside the journal at `path` that other processes have written as parts of it."""
    return sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))


class Journal(Generic[R]):
    """Finished items of an unfinished stage, one JSON line each, keyed by `id`.

    A line counts only when it is whole; a journal begun from other inputs is thrown away. Several processes may write
    at once, each into a `part` of its own; `read` returns what all of them have noted.
    """

    def __init__(self, path: Path, kind: type[R], key: str) -> None:
        self.path = path
        self.kind = kind
        self.key = key

    def part(self, writer: str) -> "Journal[R]":
        """Return the part of the journal that the process called `writer`, and no other, adds to."""
        return Journal(self.path.with_name(f"{self.path.stem}-{writer}{self.path.suffix}"), self.kind, self.key)

    def read(self) -> dict[str, R]:
        """Return the records so far by id, in the order in which they were added. Call it before the first `add`."""
        found = self._lines(self.path, cut=True)
        for path in journal_parts(self.path):
            found |= self._lines(path, cut=False)  # its writer may live yet, and no other continues it
        return found

    def _lines(self, path: Path, cut: bool) -> dict[str, R]:
        """Return the records of one file; where `cut`, a line that is not whole is taken off it."""
        if not path.exists():
            return {}
        found: dict[str, R] = {}
        with path.open("rb") as file:
            if file.readline() != self.key.encode() + b"\n":
                path.unlink()
                return {}
            whole = file.tell()
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                record = json.loads(line)
                found[record["id"]] = from_json(self.kind, record)
        if cut and whole < path.stat().st_size:  # a kill came in a line; what is added must not continue it
            os.truncate(path, whole)
        return found

    def add(self, records: Iterable[R]) -> None:
        """Append `records` and wait until the disk has them."""
        lines = [json.dumps(record, ensure_ascii=False, default=plain) for record in records]
        if not self.path.exists():
            replace_file(self.path, self.key.encode() + b"\n")
        with self.path.open("ab") as file:
            file.write("".join(line + "\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
