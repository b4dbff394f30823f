"""What listing a source results in, and the walk through folders that every layout shares."""

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from augment.data.boxes import DrawnBox
from augment.data.problems import Problem
from augment.stores.pictures import PictureTree
from edge_runtime.bundle.files import sha256_file
from edge_runtime.media.file_kinds import IMAGE_SUFFIXES, SUFFIXES, Kind, file_kind, made_by_system, unread
from edge_runtime.media.image_files import MAX_BYTES
from edge_runtime.text_files import printable

PLAIN_SUFFIXES = IMAGE_SUFFIXES - set(SUFFIXES["HEIC"])  # a file of these names is a picture, whatever its reader says
LINK = "is a link to a folder, which is not followed"
UNFINISHED = (".crdownload", ".part", ".partial", ".download", ".filepart", ".opdownload")
NOT_UTF8 = "has a name that is not UTF-8, as old archives leave them; rename it"
SETTINGS = "pipeline.toml"  # of a run folder, which holds what is painted and cached
OWN_RUN = "is a run folder of rarefault, whose pictures are not the source's"
MADE_BY_SYSTEM = "is made by a system, not by a person"
MOST_NAMED = 6  # names in a sentence
NOT_READ = "NOT READ"  # of files that may show something
Reasons = list[tuple[str, str]]


@dataclass(frozen=True)
class Candidate:
    """One file that the source calls an image.

    `sides` are the parts of the split that the source's own lists leave it (None: no list names it). `boxes` are those
    that its manifest or its file of boxes states (None: there is neither).
    """

    path: str  # relative to the source's root, with forward slashes, as it is on disk
    label: str  # in composed form (NFC)
    group: str | None = None
    sides: tuple[str, ...] | None = None
    boxes: tuple[DrawnBox, ...] | None = None
    origin: str = ""  # "": the source itself; else who else gave it: see `data.feedback`


@dataclass(frozen=True)
class Source:
    """A listed source.

    Of what lies there and is no candidate, `unread` are (path, reason) of files that may show something and cannot be
    read, `passed_over` of what systems make and what is hidden, `ignored` of all else. `problems` are what is wrong in
    its lists and names; `notes` say how it was understood where a person may want to know.
    """

    layout: str
    root: Path
    candidates: tuple[Candidate, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    feedback: Path | None = None  # where the pictures of candidates with an origin lie
    store: PictureTree | None = None  # what fetches the files below `root`, where these lie on a store

    def file(self, candidate: Candidate) -> Path:
        """Return the path of the candidate's file, fetched from its store; InputError where that no longer has it."""
        path = self._path(candidate)
        return self.store.ensure(path) if self.store and not candidate.origin else path

    def _path(self, candidate: Candidate) -> Path:
        if candidate.origin and self.feedback:
            return self.feedback / candidate.path.partition("/")[2]
        return self.root / candidate.path

    def digests(self) -> list[str]:
        """Return the SHA-256 of each candidate's bytes, or "" where there is no regular file of a sensible size."""
        stored = [self._path(candidate) for candidate in self.candidates if self.store and not candidate.origin]
        known = dict(zip(stored, self.store.digests(stored), strict=True)) if self.store else {}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            paths = [self._path(candidate) for candidate in self.candidates]
            return list(pool.map(lambda path: known[path] if path in known else _file_digest(path), paths))

    @property
    def classes(self) -> dict[str, int]:
        """Images per class, in the order of the names."""
        return dict(sorted(Counter(candidate.label for candidate in self.candidates).items()))


def _file_digest(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:  # opening a pipe would wait for ever
            return ""
        return sha256_file(path)
    except OSError:
        return ""


def told(source: Source) -> list[str]:
    """Return sentences on how the source was understood and what was left out, the most dangerous first."""
    said = []
    if source.unread:
        reasons = Counter(reason for _, reason in source.unread)
        counted = "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common())
        said.append(
            f"{len(source.unread)} files that may show something are {NOT_READ} and teach nothing, {counted} "
            f"(first {source.unread[0][0]})"
        )
    said += source.notes
    made = Counter(path.rpartition("/")[2] for path, reason in source.passed_over if reason == MADE_BY_SYSTEM)
    if made:
        named = ", ".join(f"{count} {name}" for name, count in made.most_common(MOST_NAMED))
        said.append(f"left out what systems make: {named}{' and others' if len(made) > MOST_NAMED else ''}")
    return said


@dataclass
class Found:
    """The files below a folder: `pictures` by their path from it, and the rest with reasons as in `Source`."""

    pictures: list[str] = field(default_factory=list)
    ignored: Reasons = field(default_factory=list)
    unread: Reasons = field(default_factory=list)
    passed_over: Reasons = field(default_factory=list)


def find_pictures(root: Path, tops: Collection[str] | None = None) -> Found:
    """List all files below `root`, sorted by name, or only those in its folders `tops`.

    Links to folders are not followed, since they can form loops.
    """
    found = Found()
    for parent, folders, files in os.walk(root):
        at = Path(parent)
        folders.sort()
        if tops is not None and at == root:
            folders[:], files = [name for name in folders if name in tops], []
        for name in sorted(files + [name for name in folders if (at / name).is_symlink()]):
            _sort_in(at / name, root, found)
        for name in list(folders):
            if left_out := _left_out(name) or (OWN_RUN if (at / name / SETTINGS).is_file() else ""):
                folders.remove(name)
                found.passed_over.append((relative(at / name, root), left_out))
    return found


def _sort_in(path: Path, root: Path, found: Found) -> None:
    """Add the file at `path` to `found`, by its name and, where that is no picture's, by its first bytes."""
    name = relative(path, root)
    if left_out := _left_out(path.name):
        found.passed_over.append((name, left_out))
    elif path.is_dir():
        seen_elsewhere = path.resolve().is_relative_to(root.resolve())
        (found.ignored if seen_elsewhere else found.unread).append((name, LINK))
    elif not is_utf8(name):
        found.unread.append((printable(name), NOT_UTF8))
    elif path.suffix.lower() in PLAIN_SUFFIXES:
        found.pictures.append(name)
    elif path.suffix.lower() in UNFINISHED:
        found.unread.append((name, "is an unfinished download; download it again"))
    elif not path.is_file():
        found.ignored.append((name, "is no file that can be read"))
    else:
        _sort_by_content(path, name, found)


def _sort_by_content(path: Path, name: str, found: Found) -> None:
    try:
        kind = file_kind(path)
    except OSError as error:
        found.unread.append((name, f"cannot be read ({error.strerror})"))
        return
    if kind.kind is Kind.PICTURE:
        found.pictures.append(name)
    elif kind.may_be_evidence:
        found.unread.append((name, unread(kind)))
    else:
        found.ignored.append((name, f"is no image by its name (suffix {path.suffix or 'missing'})"))


def _left_out(name: str) -> str:
    """Return why a file or folder of this name is passed over; "" where it is not."""
    if made_by_system(name):
        return MADE_BY_SYSTEM
    return "is hidden" if name.startswith(".") and not name.endswith(".icloud") else ""


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below `folder` by name, but for hidden ones and for what systems make."""
    found = find_pictures(folder)
    others = [name for name, _ in (*found.ignored, *found.unread)]
    yield from (folder / name for name in sorted(found.pictures + others))


def relative(path: Path, root: Path) -> str:
    """Return the path from `root`, with forward slashes."""
    return path.relative_to(root).as_posix()


def is_utf8(name: str) -> bool:
    """Whether a name as the system gave it can be written as text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
