"""Which file holds the boxes of which image: by the setting `data.boxes`, or by the places where tools leave them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from augment.data.box_files import YOLO_NAMES, read_boxes, read_coco
from augment.data.boxes import DrawnBox
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import normal

SUFFIXES = (".xml", ".txt")  # where a tool wrote both, VOC is read: it names classes and states the image's size
FOLDERS = ("labels", "Annotations")  # beside a folder of images, as YOLO and VOC lay their data out
IMAGES = ("images", "JPEGImages")  # that folder of images; its name does not return below the folder of boxes
COCO_NAMES = ("annotations.json", "_annotations.coco.json")


@dataclass
class FoundBoxes:
    """The boxes of each image that a file speaks of, by the image's path, none among them; and what is wrong.

    `files` were read; `strays` lie in the folder of `data.boxes` and have the name of no image.
    """

    by_image: dict[str, tuple[DrawnBox, ...]] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)
    strays: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_boxes(root: Path, images: Sequence[str], setting: str) -> FoundBoxes:
    """Find and read the boxes of `images`, paths from `root`; `setting` is `data.boxes`.

    Problems in the files are collected. Raises InputError where `setting` leads to no boxes of these images.
    """
    found, place = FoundBoxes(), Path(setting).expanduser()
    if not setting:
        for path in _coco_files(root, images):
            _take_coco(path, root, images, found)
        _take_files(root, images, None, found)
    elif place.is_dir():
        _take_files(root, images, place, found)
        found.strays += sorted(set(_box_files(place)) - found.files)
    elif place.is_file() and place.suffix.lower() == ".json":
        _take_coco(place, root, images, found)
    else:
        raise InputError(f"data.boxes is {setting}, expected a folder of .xml or .txt files, or a COCO file (.json)")
    if setting and not found.by_image and not found.problems:
        stem = PurePosixPath(images[0]).stem
        raise InputError(
            f"data.boxes is {setting}, which names no image of {root}; expected files such as {stem}.txt or "
            f"{stem}.xml, or a COCO file with the file_name {images[0]}"
        )
    return found


# A file for each image


def _take_files(root: Path, images: Sequence[str], place: Path | None, found: FoundBoxes) -> None:
    folders: dict[PurePosixPath, list[tuple[Path, dict[str, str]]]] = {}
    owners: dict[Path, str] = {}
    for image in images:
        pure = PurePosixPath(image)
        if pure.parent not in folders:
            folders[pure.parent] = [(folder, _names(folder)) for folder in _places(root, pure.parent, place)]
        names = [normal(f"{pure.stem}{suffix}") for suffix in SUFFIXES]
        files = (folder / inside[name] for folder, inside in folders[pure.parent] for name in names if name in inside)
        file = next(files, None)
        if file is None or image in found.by_image:
            continue
        if file in owners:
            found.problems.append(
                f"{file} has the name of both {owners[file]} and {image}; each needs a file of its own"
            )
            continue
        boxes = read_boxes(file, found.problems)
        if boxes is not None:
            owners[file], found.by_image[image] = image, boxes
            found.files.add(file)
        elif place is not None:
            found.problems.append(f"{file} holds no boxes in the form of Pascal VOC or YOLO; correct or remove it")


def _places(root: Path, folder: PurePosixPath, place: Path | None) -> Iterator[Path]:
    """Yield where the boxes of images in root/folder may lie, the likeliest first; not all of these exist."""
    if place is not None:
        yield from (place / folder, place)
        return
    yield root / folder
    # images/<class>/1.jpg -> images/<class>/labels/1.txt, images/labels/<class>/1.txt, labels/<class>/1.txt, ...
    whole = (root.resolve() / folder).parts
    for depth in range(len(whole), len(root.resolve().parts) - 2, -1):
        rest = whole[depth:]
        for name in FOLDERS:
            above = Path(*whole[:depth]) / name
            yield above.joinpath(*rest)
            if rest and rest[0] in IMAGES:
                yield above.joinpath(*rest[1:])
            yield above


def _names(folder: Path) -> dict[str, str]:
    """Return the names in `folder` by their composed form."""
    return {normal(file.name): file.name for file in folder.iterdir()} if folder.is_dir() else {}


def _box_files(place: Path) -> Iterator[Path]:
    return (file for file in place.rglob("*") if file.suffix in SUFFIXES and file.name != YOLO_NAMES)


# One file for many images


def _coco_files(root: Path, images: Sequence[str]) -> list[Path]:
    folders = {root, *(root / PurePosixPath(image).parent for image in images)}
    return [folder / name for folder in sorted(folders) for name in COCO_NAMES if (folder / name).is_file()]


def _take_coco(path: Path, root: Path, images: Sequence[str], found: FoundBoxes) -> None:
    """Take the boxes of a COCO file; it names an image from its own folder or from `root`, or by its bare name."""
    try:
        listed = read_coco(path, found.problems)
    except InputError as error:
        found.problems.append(str(error))
        return
    bare = Counter(PurePosixPath(image).name for image in images)
    image_of = {PurePosixPath(image).name: image for image in images if bare[PurePosixPath(image).name] == 1}
    if path.parent.resolve().is_relative_to(root.resolve()):
        here = PurePosixPath(path.parent.resolve().relative_to(root.resolve()).as_posix())
        image_of |= {
            PurePosixPath(image).relative_to(here).as_posix(): image for image in images if _below(image, here)
        }
    image_of |= {image: image for image in images}
    image_of = {normal(name): image for name, image in image_of.items()}
    for name, boxes in listed.items():
        pure = PurePosixPath(normal(name).replace("\\", "/"))
        image = image_of.get(pure.as_posix()) or image_of.get(pure.name)
        if image is not None:
            found.by_image[image] = boxes
    found.files.add(path)


def _below(image: str, folder: PurePosixPath) -> bool:
    return PurePosixPath(image).is_relative_to(folder)
