"""The pictures of a folder or manifest that can be labelled: those with a label, and those that have none yet."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from augment.arrays import Vectors
from augment.data import duplicates
from augment.data.boxes import DrawnBox
from augment.data.image_store import ImageStore
from augment.data.layouts.folders import MASK
from augment.data.layouts.listing import PLAIN_SUFFIXES, Source
from augment.data.perceptual_hash import perceptual_hash
from augment.data.sources import list_candidates
from augment.labelling.exports import Known
from augment.models.image_embedding import Fingerprints
from augment.records import ID_DIGITS
from augment.settings import DataSettings, Settings
from augment.store_urls import is_url
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_file
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.labelling.items import Box
from edge_runtime.labelling.journal import Given


@dataclass(frozen=True)
class Picture:
    """One content: the paths of all files that hold it, from the root, and what the source says of the first.

    `id` is the beginning of its SHA-256, as in a run. `others` are labels that other files of the same content bear.
    """

    id: str
    paths: tuple[str, ...]
    label: str
    drawn: tuple[DrawnBox, ...]
    group: str = ""
    split: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """All pictures below `root`, sorted by their first path; `unread` says what may show something and cannot be."""

    root: Path
    pictures: tuple[Picture, ...]
    unread: tuple[tuple[str, str], ...]

    @cached_property
    def classes(self) -> list[str]:
        """The labels that the source gives."""
        return sorted({label for one in self.pictures for label in (one.label, *one.others) if label})

    def known(self, boxes: Mapping[str, tuple[Box, ...]]) -> list[Known]:
        """Return what the source says of every file; `boxes` are those of each picture in pixels, by its id."""
        return [
            Known(path, one.label, boxes.get(one.id, ()), one.group, one.split)
            for one in self.pictures
            for path in one.paths
        ]

    def of_copies(self, given: Mapping[str, Given]) -> dict[str, Given]:
        """Return the answers, which name a picture by its first path, for the other files of the same content too."""
        return {path: given[one.paths[0]] for one in self.pictures if one.paths[0] in given for path in one.paths}


def list_pictures(data: DataSettings) -> Listed:
    """List what can be labelled; InputError where there is no picture, or where the source contradicts itself."""
    if is_url(data.source):
        raise InputError(
            f"{data.source} lies on a store, and a manifest of labels lies beside its pictures; copy or mount them to "
            "a folder of this machine and name that"
        )
    source = list_candidates(replace(data, faults=(), phrases={}, groups={}, kinds={}))  # the source may lack them yet
    if wrong := [problem for problem in source.problems if problem.fatal and problem.where != str(source.root)]:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(f"{wrong[0]}{more}; `rarefault doctor` tells all")
    listed = {one.path: one for one in source.candidates}
    paths = sorted({*listed, *_without_label(source)})
    if not paths:
        raise InputError(f"{source.root} holds no picture that can be read; give the folder that holds the images")
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda path: _digest(source.root / path), paths))
    same: dict[str, list[str]] = {}
    for path, digest in zip(paths, digests, strict=True):
        if digest:
            same.setdefault(digest, []).append(path)
    unread = [(path, "cannot be read as a file") for path, digest in zip(paths, digests, strict=True) if not digest]
    found = []
    for digest, files in same.items():
        named = [listed[path] for path in files if path in listed]
        first = named[0] if named else None
        others = tuple(sorted({one.label for one in named[1:]} - {first.label})) if first else ()
        split = "".join(first.sides or ()) if first else ""
        drawn = (first.boxes or ()) if first else ()
        found.append(
            Picture(
                digest, tuple(files), first.label if first else "", drawn, (first and first.group) or "", split, others
            )
        )
    return Listed(source.root, tuple(found), (*source.unread, *unread))


def _digest(path: Path) -> str:
    """Return the id of a file's content, "" of what cannot be read; a FIFO would block for ever."""
    try:
        return sha256_file(path)[:ID_DIGITS] if path.is_file() else ""
    except OSError:
        return ""


def _without_label(source: Source) -> list[str]:
    """Return the pictures that the source passes over since nothing says what they are."""
    return [
        path
        for path, reason in source.ignored
        if Path(path).suffix.lower() in PLAIN_SUFFIXES and reason != MASK and (source.root / path).is_file()
    ]


class Looks:
    """What the pictures look like: an embedding of each, and which of them show the same thing."""

    def __init__(self, settings: Settings, listed: Listed, fingerprints: Fingerprints) -> None:
        """Look at every picture that `fingerprints` does not know; one that cannot be read is taken for black."""
        store = ImageStore(settings)
        files = {one.id: listed.root / one.paths[0] for one in listed.pictures}
        self.unread: dict[str, str] = {}

        def opened(picture: str) -> Frame:
            try:
                return store.read(files[picture]).frame
            except InputError as error:
                self.unread[picture] = str(error)
                return np.zeros((duplicates.THUMBNAIL, duplicates.THUMBNAIL, 3), np.uint8)

        self.vectors: Vectors
        self.vectors, self._thumbnails = fingerprints.of(list(files), opened)
        self._pictures, self._data = listed.pictures, settings.data

    def groups(self) -> list[str]:
        """Name for each picture what it shows: copies, bursts and what the source says is one group share a name."""
        hashes = np.array([perceptual_hash(thumbnail) for thumbnail in self._thumbnails], np.uint64)
        thumbnails: Sequence[npt.NDArray[np.uint8]] = list(self._thumbnails)
        paths = [one.paths[0] for one in self._pictures]
        pairs = [
            duplicates.burst_pairs(paths, thumbnails, self._data.burst_gap, self._data.burst_similarity),
            duplicates.duplicate_pairs(hashes, thumbnails, self._data.duplicate_bits),
            duplicates.same_value_pairs([one.group or None for one in self._pictures]),
        ]
        return duplicates.groups_of([one.id for one in self._pictures], np.concatenate(pairs))
