"""The pictures of the experiment: fetched or brought along, and dealt out anew for every draw.

The test pictures are the same in every draw: those of the data set's own list, or where there is none, three of ten
pictures of each class. Of the others, each draw takes its own for training and validation.
"""

import csv
import io
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from augment.data.layouts.known_sets import PETS_FOLDER
from augment.data.layouts.listing import Candidate, Source
from augment.data.sources import list_candidates
from augment.data.split import TEST, TRAIN, VAL
from augment.progress import say
from augment.records import item_seed
from augment.reference.protocol import NAME, Sizes
from augment.settings import DataSettings
from edge_runtime.bundle.errors import InputError, UnavailableError, os_errors_as
from edge_runtime.bundle.files import replace_file

FOLDER = "data"
DOWNLOAD_BYTES = 811_000_000  # images.tar.gz and annotations.tar.gz; about as much again unpacked
SILENCE = 60.0  # seconds after which a server that sends nothing is given up
TEST_SHARE = 0.3
FEWEST = 4  # pictures of a class: two to learn from, one to validate, one to test
LICENCE = "CC BY-SA 4.0 (Oxford-IIIT Pet)"


def obtain(out: Path, given: str) -> Source:
    """Return the listed pictures below OUT/data: copies of those in the folder `given`, or downloaded ones."""
    place = out / FOLDER
    if given:
        _copy(list_candidates(DataSettings(source=given)), place)
    elif not place.is_dir():
        _download(place)
    source = list_candidates(DataSettings(source=str(place)))
    rare = sorted(label for label, count in source.classes.items() if count < FEWEST)
    if len(source.classes) < 2 or rare:
        seen = f"{len(source.classes)} classes" + (
            f", of {', '.join(rare)} fewer than {FEWEST} pictures" if rare else ""
        )
        raise InputError(f"{place} has {seen}; expected two classes and more of at least {FEWEST} pictures each")
    return source


def _copy(source: Source, place: Path) -> None:
    """Copy what the source lists, with the lists of a data set in a layout of its own, leaving it untouched."""
    lists = ["annotations/trainval.txt", "annotations/test.txt"] if source.layout == "oxford-pets" else []
    root = place / PETS_FOLDER if lists else place
    names = [candidate.path for candidate in source.candidates] + lists
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        say(f"copying {len(missing)} files from {source.root} to {root}")
    with os_errors_as(UnavailableError, f"the pictures cannot be copied to {root}", "make room, then run it again"):
        for name in missing:
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, (source.root / name).read_bytes())


def _download(place: Path) -> None:
    """Let torchvision fetch Oxford-IIIT Pet, which knows the MD5 of both archives, into the folder `place`.

    It takes a folder that was half unpacked for a whole one, so the folder has its name only when all is done.
    """
    from torchvision.datasets import OxfordIIITPet

    spare = place.with_suffix(".part")
    for half in ("images", "annotations"):
        shutil.rmtree(spare / PETS_FOLDER / half, ignore_errors=True)
    say(f"downloading Oxford-IIIT Pet, {DOWNLOAD_BYTES / 1e6:.0f} MB, into {spare}")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)  # torchvision sets none
    try:
        OxfordIIITPet(spare, download=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: an archive with another MD5
        raise UnavailableError(
            f"Oxford-IIIT Pet could not be downloaded ({error}); run it again, or fetch images.tar.gz and "
            "annotations.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/pets elsewhere, unpack both into a folder "
            f"{PETS_FOLDER} and name the folder above it with --data"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    for archive in (spare / PETS_FOLDER).glob("*.tar.gz"):
        archive.unlink()
    spare.rename(place)


def deal(source: Source, draw: int, sizes: Sizes) -> list[tuple[Candidate, str]]:
    """Return the pictures of one draw with the side of the split that each stands on, class by class."""
    dealt: list[tuple[Candidate, str]] = []
    for label in source.classes:
        own = [candidate for candidate in source.candidates if candidate.label == label]
        listed = [candidate for candidate in own if candidate.sides == (TEST,)]
        test = listed or _shuffled(own, "test")[: max(1, round(TEST_SHARE * len(own)))]
        rest = _shuffled([candidate for candidate in own if candidate not in test], f"draw-{draw}")
        held = min(sizes.validation, max(1, len(rest) // 3))
        shares = ((TEST, _shuffled(test, "test")[: sizes.test or None]), (VAL, rest[:held]))
        dealt += [(candidate, side) for side, part in shares for candidate in part]
        dealt += [(candidate, TRAIN) for candidate in rest[held : held + sizes.train]]
    return dealt


def _shuffled(candidates: Sequence[Candidate], purpose: str) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: item_seed(0, NAME, f"{purpose}/{candidate.path}"))


def write_manifest(path: Path, source: Source, dealt: Sequence[tuple[Candidate, str]]) -> None:
    """Write the pictures of a draw as a manifest, whose folder is above theirs."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("path", "label", "split"))
    root = source.root.resolve()
    for candidate, side in dealt:
        rows.writerow(((root / candidate.path).relative_to(path.parent.resolve()).as_posix(), candidate.label, side))
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.getvalue().encode())
