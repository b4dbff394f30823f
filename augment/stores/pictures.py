"""A source of pictures on a store, as a folder on local disk: every name is there, and contents come when asked for.

    PLACE/tree/             a file for each file of the store, empty until it is fetched
    PLACE/index.sqlite3     sizes, the store's marks of contents, and SHA-256 of all that was ever fetched
    PLACE/incoming/         files on their way

So whatever lists a source works on stores too. Lists and boxes, which say what pictures mean, are fetched with the
names; pictures by `ensure` and `digests`. Pictures that nobody has used for longest make room for others.
"""

import contextlib
import errno
import os
import posixpath
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from augment.progress import SECONDS_BETWEEN_LINES, progress, say
from augment.stores.connection import PAUSES, connections_to, open_store, patiently
from augment.stores.listing import StoredFile, name_problem, pages
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import sha256_bytes, sha256_file
from edge_runtime.media.file_kinds import HEAD_BYTES, made_by_system
from edge_runtime.media.image_files import MAX_BYTES

GIB = 1 << 30
READ_WHOLE = (".csv", ".json", ".txt", ".xml")  # lists and boxes; of other files that are no pictures the head tells
BATCH = 1000  # pictures that wait for a connection
FULL_SHARE = 0.9  # of the limit, which is left after room was made
SAFE_SECONDS = 60  # for which a picture stays that was asked for: somebody is about to open it
_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mark TEXT NOT NULL,
  sha256 TEXT NOT NULL DEFAULT '', fetched INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fetched ON file (fetched) WHERE fetched;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO state VALUES ('round', 0), ('listed', 0), ('bytes', 0);
"""
_CONNECTIONS = threading.local()  # to index files, by process and path


def place_of(url: str, cache: str) -> Path:
    """Return the folder in which pictures of `url` are kept; `cache` is the setting, "" for the user's own cache."""
    base = os.environ.get("RAREFAULT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(cache).expanduser() if cache else Path(base) / "rarefault" / "stores"
    readable = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in url.replace("://", "_"))
    return folder / f"{readable[-80:]}-{sha256_bytes(url.encode())[:8]}"


@dataclass(frozen=True)
class PictureTree:
    """The files below `url` on local disk. Any number of threads and processes may use it at once.

    `by_name` are the suffixes of pictures that are known by their name alone; `limit` is how many bytes of pictures
    are kept. Whatever reaches the store raises InputError or UnavailableError, as `store_errors` says.
    """

    url: str
    place: Path
    limit: int
    by_name: frozenset[str]
    pauses: tuple[float, ...] = PAUSES  # seconds before each further attempt at what failed

    @property
    def root(self) -> Path:
        """The folder that stands for `url`."""
        return self.place / "tree"

    @property
    def is_listed(self) -> bool:
        """Whether the names were listed to their end once."""
        if not (self.place / "index.sqlite3").exists():
            return False
        return bool(self._index().execute("SELECT value FROM state WHERE name = 'listed'").fetchone()[0])

    def refresh(self) -> list[tuple[str, str]]:
        """Take over what the store holds now; return (path, reason) of files whose names no disk can hold.

        What has changed there is forgotten here, and fetched again when it is asked for.
        """
        for folder in (self.root, self.place / "incoming"):
            folder.mkdir(parents=True, exist_ok=True)
        odd = patiently(self.url, "listing the source", self._list, self.pauses)
        self._fetch_lists()
        return odd

    def ensure(self, path: Path, sha256: str = "") -> Path:
        """Return `path`, a file below `root`, with its content fetched.

        Raises InputError where the store holds no such file, one that is too large, or another than `sha256` says.
        """
        name = path.relative_to(self.root).as_posix()
        row = self._index().execute("SELECT size, sha256 FROM file WHERE path = ?", (name,)).fetchone()
        if row is None:
            raise InputError(
                f"{self.url}/{name} was not there when the store was listed; run `rarefault dataset` again"
            )
        size, known = row
        if size > MAX_BYTES:
            raise InputError(f"{self.url}/{name} is {size} bytes, at most {MAX_BYTES} are read; scale the image down")
        if path.stat().st_size != size:
            known = self._fetch(name, size, make_room=True)
        else:
            os.utime(path)  # by which the longest unused are found
        if sha256 and known and known != sha256:
            raise InputError(
                f"{self.url}/{name} has changed on the store since the dataset document was written; "
                "run `rarefault dataset` again"
            )
        return path

    def digests(self, paths: Sequence[Path]) -> list[str]:
        """Return the SHA-256 of each file below `root`, "" where it is too large to be a picture.

        What was never fetched is fetched, by several connections; it stays as long as there is room within the limit.
        """
        names = [path.relative_to(self.root).as_posix() for path in paths]
        rows = self._index().execute("SELECT path, size, sha256 FROM file").fetchall()
        known = {name: sha256 for name, size, sha256 in rows if sha256 or size > MAX_BYTES}
        wanted = set(names) - known.keys()
        missing = [(name, size) for name, size, _ in rows if name in wanted]
        self._check_room(sum(size for _, size in missing), len(missing))
        known |= self._fetch_all(missing, "pictures fetched")
        return [known.get(name, "") for name in names]

    # Listing

    def _list(self) -> list[tuple[str, str]]:
        odd: list[tuple[str, str]] = []
        count, next_line = 0, time.monotonic() + SECONDS_BETWEEN_LINES
        index = self._index()
        index.execute("UPDATE state SET value = value + 1 WHERE name = 'round'")
        turn = index.execute("SELECT value FROM state WHERE name = 'round'").fetchone()[0]
        for page in pages(self.url):
            with index:
                index.execute("BEGIN IMMEDIATE")
                odd += [entry for file in page if (entry := self._take(index, file, turn))]
            count += len(page)
            if time.monotonic() >= next_line:
                say(f"listing {self.url}: {count} files so far")
                next_line = time.monotonic() + SECONDS_BETWEEN_LINES
        if not count:  # before anything is forgotten: a drive that is not mounted looks like this too
            raise InputError(f"{self.url} holds no files; correct the spelling, or name the folder above the images")
        with index:
            index.execute("BEGIN IMMEDIATE")
            for (name,) in index.execute("SELECT path FROM file WHERE seen < ?", (turn,)).fetchall():
                (self.root / name).unlink(missing_ok=True)
            gone = "SELECT coalesce(sum(size), 0) FROM file WHERE seen < ? AND fetched"
            index.execute(f"UPDATE state SET value = value - ({gone}) WHERE name = 'bytes'", (turn,))
            index.execute("DELETE FROM file WHERE seen < ?", (turn,))
            index.execute("UPDATE state SET value = 1 WHERE name = 'listed'")
        return odd

    def _take(self, index: sqlite3.Connection, file: StoredFile, turn: int) -> tuple[str, str] | None:
        """Note one listed file and give it a name on disk; return (path, reason) where that cannot be."""
        if reason := name_problem(file.path):
            return file.path, reason
        local = self.root / file.path
        row = index.execute("SELECT size, mark, fetched FROM file WHERE path = ?", (file.path,)).fetchone()
        try:
            if row is None or row[:2] != (file.size, file.mark) or not local.exists():
                _make_empty(local)
            else:
                index.execute("UPDATE file SET seen = max(seen, ?) WHERE path = ?", (turn, file.path))
                return None
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            return file.path, "has the name of a folder of the same store; rename it"
        if row and row[2]:
            index.execute("UPDATE state SET value = value - ? WHERE name = 'bytes'", (row[0],))
        kept = "sha256 = CASE WHEN size = excluded.size AND mark = excluded.mark THEN sha256 ELSE '' END"
        index.execute(
            "INSERT INTO file (path, size, mark, seen) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            f"{kept}, size = excluded.size, mark = excluded.mark, fetched = 0, seen = max(seen, excluded.seen)",
            (file.path, file.size, file.mark, turn),
        )
        return None

    def _fetch_lists(self) -> None:
        """Fetch what no name tells: lists and boxes whole, of all else the first bytes."""
        rows = self._index().execute("SELECT path, size FROM file").fetchall()
        wanted = []
        for name, size in rows:
            suffix = posixpath.splitext(name)[1].lower()
            if suffix in self.by_name or not size or any(_is_hidden(part) for part in name.split("/")):
                continue
            least = size if suffix in READ_WHOLE else min(size, HEAD_BYTES)
            if (self.root / name).stat().st_size < least:
                wanted.append((name, least))
        self._fetch_all(wanted, "lists and boxes fetched", count=False)

    # Fetching

    def _check_room(self, wanted: int, count: int) -> None:
        """Say how much is to come, and refuse what the disk cannot take, before hours are spent on it."""
        if not count:
            return
        kept = self._index().execute("SELECT value FROM state WHERE name = 'bytes'").fetchone()[0]
        stays = max(min(wanted, self.limit - kept), 0)
        free = shutil.disk_usage(self.place).free
        if stays > free:
            raise UnavailableError(
                f"{self.place} has {free / GIB:.1f} GiB left, and {stays / GIB:.1f} GiB of pictures are to be kept "
                "there; set data.store_cache to a folder on another disk, or data.store_gib to less"
            )
        say(f"{count} pictures, {wanted / GIB:.2f} GiB, are fetched from {self.url} to {self.place}")
        if wanted > stays:
            say(
                f"data.store_gib is {self.limit / GIB:.0f}: {(wanted - stays) / GIB:.1f} GiB of them do not stay and "
                "will be fetched again each time they are needed"
            )

    def _fetch_all(self, files: Sequence[tuple[str, int]], what: str, count: bool = True) -> dict[str, str]:
        """Fetch files of which the names and sizes are given; return their SHA-256 by name."""
        found: dict[str, str] = {}
        pool = ThreadPoolExecutor(connections_to(self.url))
        try:
            for name, sha256 in progress(self._in_batches(pool, files, count), len(files), what):
                found[name] = sha256
        except UnavailableError as lost:
            raise UnavailableError(
                f"{lost}; {len(found)} of {len(files)} files have arrived and stay in {self.place}: "
                "the same command goes on from there"
            ) from lost
        finally:
            pool.shutdown(cancel_futures=True)
        return found

    def _in_batches(
        self, pool: ThreadPoolExecutor, files: Sequence[tuple[str, int]], count: bool
    ) -> Iterator[tuple[str, str]]:
        for start in range(0, len(files), BATCH):
            part = files[start : start + BATCH]
            yield from zip(
                [name for name, _ in part],
                pool.map(lambda file: self._fetch(file[0], file[1], make_room=False, count=count), part),
                strict=True,
            )

    def _fetch(self, name: str, size: int, make_room: bool, count: bool = True) -> str:
        """Fetch the first `size` bytes of a file and return their SHA-256.

        Where the limit is reached, others make room for it, or it is not kept (`make_room` false): a single look at
        everything must not push out what is used again and again. `count` is false for files beside the limit.
        """
        arriving = self.place / "incoming" / uuid.uuid4().hex
        try:
            where = f"{self.url}/{name}"
            patiently(where, "fetching a file", lambda: self._get(name, size, arriving), self.pauses)
            if (seen := arriving.stat().st_size) != size:
                raise InputError(
                    f"{self.url}/{name} has {seen} bytes, it had {size} when listed; run the command again"
                )
            sha256 = sha256_file(arriving)
            with (index := self._index()):
                index.execute("BEGIN IMMEDIATE")
                if self._has_room(index, size if count else 0, make_room):
                    arriving.replace(self.root / name)
                    if count:
                        before = "SELECT fetched FROM file WHERE path = ?"
                        grown = 0 if index.execute(before, (name,)).fetchone()[0] else size
                        index.execute("UPDATE state SET value = value + ? WHERE name = 'bytes'", (grown,))
                        index.execute("UPDATE file SET fetched = 1 WHERE path = ?", (name,))
                index.execute("UPDATE file SET sha256 = ? WHERE path = ? AND size = ?", (sha256, name, size))
            return sha256
        finally:
            arriving.unlink(missing_ok=True)

    def _get(self, name: str, size: int, to: Path) -> None:
        system, base = open_store(self.url)
        stored = posixpath.join(base, name)
        try:
            if size == HEAD_BYTES:
                to.write_bytes(system.cat_file(stored, start=0, end=HEAD_BYTES))
            else:
                system.get_file(stored, str(to))
        except FileNotFoundError as gone:
            raise InputError(f"{self.url}/{name} has gone from the store since it was listed; run again") from gone
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UnavailableError(
                f"{self.place} is full; set data.store_cache to a folder on another disk, or data.store_gib to less"
            ) from error

    def _has_room(self, index: sqlite3.Connection, size: int, make_room: bool) -> bool:
        """Whether `size` further bytes may stay; with `make_room` the longest unused pictures go first."""
        kept = index.execute("SELECT value FROM state WHERE name = 'bytes'").fetchone()[0]
        if not size or kept + size <= self.limit:
            return True
        if not make_room:
            return False
        used = []
        for name, bytes_ in index.execute("SELECT path, size FROM file WHERE fetched").fetchall():
            with contextlib.suppress(FileNotFoundError):
                used.append(((self.root / name).stat().st_mtime, name, bytes_))
        newest = time.time() - SAFE_SECONDS
        for stamp, name, bytes_ in sorted(used):
            if kept + size <= FULL_SHARE * self.limit or stamp > newest:
                break
            _make_empty(self.root / name)
            index.execute("UPDATE file SET fetched = 0 WHERE path = ?", (name,))
            kept -= bytes_
        index.execute("UPDATE state SET value = ? WHERE name = 'bytes'", (kept,))
        return True

    def _index(self) -> sqlite3.Connection:
        """Return the connection of this thread: none may cross threads or forks, and to open one takes long."""
        path = self.place / "index.sqlite3"
        mine: dict[tuple[int, Path], sqlite3.Connection] = vars(_CONNECTIONS).setdefault("open", {})
        key = (os.getpid(), path)
        if key not in mine:
            mine[key] = sqlite3.connect(path, timeout=60, isolation_level=None)
            mine[key].execute("PRAGMA journal_mode = WAL")
            mine[key].execute("PRAGMA synchronous = NORMAL")
            mine[key].executescript(_SCHEMA)
        return mine[key]


def _make_empty(path: Path) -> None:
    """Put an empty file at `path`, its folders made if absent; whoever has the one before open reads on in that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(path)
    path.unlink(missing_ok=True)
    path.touch()


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or made_by_system(part)
