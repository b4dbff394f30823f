"""A run folder that is mirrored to a store, so that another machine goes on from there.

    URL/commits/000007.json        what a push added: paths, SHA-256, and for documents their digest; written last
    URL/files/<folder>/<sha256>.<name>    contents; none is ever replaced, so two pushes never mix

A commit is made by a name that nobody may take twice. So of two machines that push at once one comes second: where
their documents agree it takes over what the first one pushed, and where they contradict each other it is refused.
"""

import contextlib
import json
import os
import posixpath
import re
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TypeVar

from augment.json_objects import JsonObject, as_plain, from_json, write_json
from augment.progress import progress, say
from augment.records import STAGES, Document, R, RunFolder, S, digest_of
from augment.store_urls import is_url, url_problems
from augment.stores.connection import PAUSES, FileSystem, connections_to, open_store, patiently
from augment.stores.listing import name_problem, pages, protocols
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import sha256_file

T = TypeVar("T")

SCHEMA, SCHEMA_VERSION = "rarefault/store-commit", 1
COMMITS, FILES = "commits", "files"
STATE = "store.json"  # of a run folder: which commit it was last equal to
SETTINGS = "pipeline.toml"
LIKE = "s3://bucket/runs/north, or file:///mnt/runs/north for a folder"
# What belongs to this machine: caches, hidden files, unfinished stages and trainings.
STAYS_HERE = re.compile(r"^cache/|(^|/)(\.|journal[^/]*\.jsonl$|state\.safetensors$)|\.part$|^store\.json$")
_DOCUMENT = re.compile(rf"({'|'.join(stage.document for stage in STAGES)})/v\d{{4}}\.json")
_WITH_FOLDERS = frozenset(("file", "local", "sftp", "ssh"))  # protocols; others are object stores
_ATTEMPTS = 5  # pushes that come second, one after the other, before a person is asked


class StoredEntry(JsonObject):
    """One file of a run on a store."""

    path: str  # from the run folder
    size: int  # bytes
    sha256: str
    digest: str = ""  # of a stage's document, by which two machines agree although their times differ


class Commit(JsonObject):
    """What one push added to the run on a store."""

    schema: str
    schema_version: int
    number: int
    id: str  # of this push alone
    machine: str
    created: str
    files: Sequence[StoredEntry]


class LastSeen(JsonObject):
    """RUN/store.json: the newest commit whose files this folder has."""

    url: str
    number: int
    id: str


class MirroredRun(RunFolder):
    """A run folder whose documents are pushed as soon as they are written; stages need not know."""

    def __init__(self, path: Path, mirror: "Mirror") -> None:
        super().__init__(path)
        self._mirror = mirror

    def write(self, document: Document[R, S]) -> Document[R, S]:
        """Write `document` as ever, then push all that is new; an unreachable store is told and asked again later."""
        written = super().write(document)
        try:
            self._mirror.push()
        except UnavailableError as lost:
            say(f"{lost}; the run goes on, and its results are pushed after the next stage")
        return written


@dataclass
class Mirror:
    """The run folder `run` and its copy at `url`."""

    url: str
    run: Path
    pauses: tuple[float, ...] = PAUSES  # seconds before each further attempt at what failed
    _files: dict[str, StoredEntry] = field(default_factory=dict)  # by path: the newest of each on the store
    _commits: list[Commit] = field(default_factory=list)
    _hashes: dict[tuple[str, int, int], str] = field(default_factory=dict)  # by path, size and time of change

    def pull(self) -> int:
        """Bring the run folder to the newest commit and return how many files came.

        Settings that are here already stay. Raises InputError where a document here contradicts the store's.
        """
        seen = self._seen()
        self._read_commits()
        if seen and seen.url == self.url and self._id_of(seen.number) != seen.id:
            raise InputError(
                f"{self.url} no longer holds what {self.run} was last equal to (commit {seen.number}): it was emptied, "
                f"or holds another run; give another --store, or remove {self.run / STATE} to push everything anew"
            )
        base = seen.number if seen and seen.url == self.url else 0
        changed = {entry.path for commit in self._commits[base:] for entry in commit.files}
        wanted = [self._files[path] for path in sorted(changed) if self._is_wanted(self._files[path])]
        pictures = [entry for entry in wanted if not entry.digest]
        documents = [entry for entry in wanted if entry.digest]
        for part in (pictures, documents):  # a document that is here has all its pictures
            self._at_once(self._fetch, part, f"files of {self.run.name} fetched")
        self._note()
        return len(wanted)

    def push(self) -> int:
        """Copy what is new here to the store and return how many files that were. Raises as `pull` does."""
        for _ in range(_ATTEMPTS):
            self.pull()
            new = [entry for path in self._own_files() if (entry := self._new_entry(path))]
            if not new:
                return 0
            self._upload(new)
            if self._commit(new):
                self._note()
                return len(new)
        raise UnavailableError(f"{self.url} is pushed to by other machines all the time; try again later")

    # What is on the store

    def _read_commits(self) -> None:
        """Read the commits that came since the last call."""
        where = f"reading the commits of {self.run.name}"
        for number in sorted(self._patiently(where, self._numbers)):
            if number <= len(self._commits):
                continue
            content = self._patiently(where, partial(self._read, _commit_name(number)))
            commit = _read_commit(content, f"{self.url}/{_commit_name(number)}")
            if commit.number != len(self._commits) + 1:
                raise InputError(
                    f"{self.url} lacks commit {len(self._commits) + 1}; it was damaged: use another --store"
                )
            self._commits.append(commit)
            self._files |= {entry.path: entry for entry in commit.files}

    def _numbers(self) -> list[int]:
        system, root = open_store(self.url)
        try:
            names = [posixpath.basename(name) for name in system.ls(posixpath.join(root, COMMITS), detail=False)]
        except FileNotFoundError:
            self._check_bucket(system, root)
            return []
        return [int(match[1]) for name in names if (match := re.fullmatch(r"(\d{6})\.json", name))]

    def _check_bucket(self, system: FileSystem, root: str) -> None:
        """Raise FileNotFoundError where not only the run, but the bucket is absent: its name is misspelt."""
        if self.url.startswith(("s3://", "s3a://")):
            system.ls(system.split_path(root)[0], detail=False)

    def _read(self, name: str) -> bytes:
        system, root = open_store(self.url)
        content: bytes = system.cat_file(posixpath.join(root, name))
        return content

    def _id_of(self, number: int) -> str:
        return self._commits[number - 1].id if 0 < number <= len(self._commits) else ""

    # What is here

    def _seen(self) -> LastSeen | None:
        path = self.run / STATE
        return from_json(LastSeen, json.loads(path.read_bytes())) if path.exists() else None

    def _note(self) -> None:
        if self._commits:
            last = self._commits[-1]
            write_json(self.run / STATE, LastSeen(url=self.url, number=last.number, id=last.id))

    def _own_files(self) -> Iterable[str]:
        for parent, folders, names in os.walk(self.run):
            folders.sort()
            at = Path(parent).relative_to(self.run)
            yield from (path for name in sorted(names) if not STAYS_HERE.search(path := (at / name).as_posix()))

    def _sha256(self, path: str) -> str:
        status = (self.run / path).stat()
        key = (path, status.st_size, status.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = sha256_file(self.run / path)
        return self._hashes[key]

    def _new_entry(self, path: str) -> StoredEntry | None:
        """Return what is to be pushed of a file here; None where the store has the same."""
        known, sha256 = self._files.get(path), self._sha256(path)
        if known and known.sha256 == sha256:
            return None
        digest = _document_digest(self.run / path) if _DOCUMENT.fullmatch(path) else ""
        if known and digest and known.digest == digest:
            return None
        return StoredEntry(path=path, size=(self.run / path).stat().st_size, sha256=sha256, digest=digest)

    def _is_wanted(self, entry: StoredEntry) -> bool:
        """Whether a file of the store is to come here; InputError where it is a document that contradicts ours."""
        here = self.run / _safe(entry.path)
        if not here.exists():
            return True
        if entry.path == SETTINGS or self._sha256(entry.path) == entry.sha256:
            return False
        if not entry.digest:
            return True
        if _document_digest(here) == entry.digest:
            return False
        commit = next(one for one in reversed(self._commits) if any(entry.path == file.path for file in one.files))
        raise InputError(
            f"{here} says other than {entry.path} at {self.url}, which {commit.machine} pushed at {commit.created}; "
            "two machines have worked on this run with different settings, pictures or models. Keep one: give another "
            "--store, or go on from the store's with an empty run folder"
        )

    # On the way

    def _fetch(self, entry: StoredEntry) -> None:
        path = self.run / _safe(entry.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        arriving = path.with_name(f".arriving-{uuid.uuid4().hex}")
        try:
            system, root = open_store(self.url)
            system.get_file(posixpath.join(root, _file_name(entry)), str(arriving))
            if sha256_file(arriving) != entry.sha256:
                raise InputError(
                    f"{self.url}/{_file_name(entry)} is damaged: its digest is another; give another --store"
                )
            arriving.replace(path)
        finally:
            arriving.unlink(missing_ok=True)

    def _upload(self, entries: Sequence[StoredEntry]) -> None:
        """Copy contents that the store lacks; what an interrupted push has left there whole is not sent again."""
        sizes = self._patiently("looking at the store", self._stored)
        missing = [entry for entry in entries if sizes.get(_file_name(entry)) != entry.size]
        folders = sorted({posixpath.dirname(_file_name(entry)) for entry in missing} | {COMMITS})
        self._patiently("making folders", lambda: self._make_folders(folders))
        self._at_once(self._send, missing, f"files of {self.run.name} pushed")

    def _stored(self) -> dict[str, int]:
        """Return the size of each content on the store by its name."""
        try:
            return {f"{FILES}/{file.path}": file.size for page in pages(f"{self.url}/{FILES}") for file in page}
        except FileNotFoundError:
            return {}

    def _make_folders(self, folders: Sequence[str]) -> None:
        """Make folders where the store has such; an object store would make a bucket of a misspelt name instead."""
        system, root = open_store(self.url)
        if not _WITH_FOLDERS.isdisjoint(protocols(system)):
            for folder in folders:
                system.makedirs(posixpath.join(root, folder), exist_ok=True)

    def _send(self, entry: StoredEntry) -> None:
        system, root = open_store(self.url)
        system.put_file(str(self.run / entry.path), posixpath.join(root, _file_name(entry)))

    def _commit(self, files: Sequence[StoredEntry]) -> bool:
        """Write the next commit, which makes the push count; False where another machine took its number first."""
        commit = Commit(
            schema=SCHEMA,
            schema_version=SCHEMA_VERSION,
            number=len(self._commits) + 1,
            id=uuid.uuid4().hex,
            machine=socket.gethostname(),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            files=files,
        )
        content, name = json.dumps(as_plain(commit), indent=1).encode(), _commit_name(commit.number)
        self._patiently("writing the commit", lambda: self._create(name, content))
        # Read back: an answer may have been lost, and some servers for S3 pass over that the name must be new.
        if self._patiently("reading the commit back", lambda: self._read(name)) != content:
            return False
        self._commits.append(commit)
        self._files |= {entry.path: entry for entry in files}
        return True

    def _create(self, name: str, content: bytes) -> None:
        """Put `content` at `name` whole, unless something is there already."""
        system, root = open_store(self.url)
        path = posixpath.join(root, name)
        try:
            if _WITH_FOLDERS.isdisjoint(protocols(system)):
                system.pipe_file(path, content, mode="create")
                return
            arriving = posixpath.join(root, COMMITS, f".arriving-{uuid.uuid4().hex}")
            system.pipe_file(arriving, content)
            if "sftp" in protocols(system):
                system.ftp.rename(arriving, path)  # which SFTP refuses where `path` exists
            else:
                Path(path).hardlink_to(arriving)
                Path(arriving).unlink()
        except OSError:
            if not system.exists(path):
                raise

    def _patiently(self, doing: str, call: Callable[[], T]) -> T:
        return patiently(self.url, doing, call, self.pauses)

    def _at_once(self, work: Callable[[StoredEntry], None], entries: Sequence[StoredEntry], what: str) -> None:
        """Do `work` for each entry over several connections, and say how far it is."""
        pool, done = ThreadPoolExecutor(connections_to(self.url)), 0
        try:
            trying = pool.map(lambda entry: self._patiently(what, lambda: work(entry)), entries)
            for _ in progress(trying, len(entries), what):
                done += 1
        except UnavailableError as lost:
            raise UnavailableError(
                f"{lost}; {done} of {len(entries)} files are through, and the same command goes on from there"
            ) from lost
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def mirrored(run: Path, url: str) -> Iterator[RunFolder]:
    """Yield the run folder `run` as one that is mirrored to `url`: brought up to date before, pushed afterwards too."""
    if wrong := url_problems(url, "--store") or ([] if is_url(url) else [f"--store is {url}, expected such as {LIKE}"]):
        raise InputError(wrong[0])
    run.mkdir(parents=True, exist_ok=True)
    mirror = Mirror(url.rstrip("/"), run)
    if came := mirror.pull():
        say(f"{came} files of {run} came from {url}")
    mirror.push()
    yield MirroredRun(run, mirror)
    mirror.push()
    say(f"{run} is whole at {url}")


def _commit_name(number: int) -> str:
    return f"{COMMITS}/{number:06d}.json"


def _file_name(entry: StoredEntry) -> str:
    folder, name = posixpath.split(entry.path)
    return posixpath.join(FILES, folder, f"{entry.sha256}.{name}")


def _read_commit(content: bytes, where: str) -> Commit:
    try:
        found = json.loads(content)
        if found["schema"] != SCHEMA or found["schema_version"] > SCHEMA_VERSION:
            raise ValueError("it is of another kind or of a later version of rarefault")
        return from_json(Commit, found)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where} is no commit of a run ({error}); give another --store") from error


def _document_digest(path: Path) -> str:
    content = json.loads(path.read_bytes())
    return digest_of({key: value for key, value in content.items() if key != "created"})


def _safe(path: str) -> str:
    """Return a path that a commit names; InputError where it leads out of the run folder."""
    if name_problem(path):
        raise InputError(
            f"a commit of the store names {path!r}, which is no path in a run folder; give another --store"
        )
    return path
