"""What the later stages need of the data, checked in one pass before any of them runs, so that all is told at once.

Nothing here opens a file.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from augment.data.boxes import DrawnBox
from augment.data.problems import Check, Problem
from augment.data.split import SIDES, TEST, TRAIN, VAL
from augment.record_types import Box
from augment.settings import DataSettings
from edge_runtime.bundle.errors import InputError

WHOLE_PICTURE = 0.95  # of a picture's area; a larger box says nothing about where the fault is
FEW_BOXES = 3  # of a source; fewer may stick out by chance
MOST_OF_THEM = 0.8  # of the boxes in question, that one explanation must fit before it is told as the likely one


# Sizes


def size_problem(width: int, height: int, data: DataSettings) -> str:
    """Return why a picture of this size in pixels teaches nothing, as a predicate; "" where it may."""
    short, long = sorted((width, height))
    if short < data.least_side:
        return f"is {width} x {height} pixels, its shorter side less than {data.least_side} (data.least_side)"
    if long > data.most_aspect * short:
        return (
            f"is {width} x {height} pixels, its longer side more than {data.most_aspect:g} times the shorter "
            "(data.most_aspect)"
        )
    return ""


# Boxes


@dataclass(frozen=True)
class Pictured:
    """An upright picture in pixels, and the boxes that a file states for it; `id` names it in what is found."""

    id: str
    label: str
    width: int
    height: int
    boxes: Sequence[DrawnBox]


@dataclass
class FoundBoxes:
    """Boxes in pixels, and notes, by the id of the picture; which pictures have a box as large as they are."""

    boxes: dict[str, list[Box]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    whole: list[str] = field(default_factory=list)
    check: Check = field(default_factory=lambda: Check("boxes", 0))


def check_boxes(
    pictures: Sequence[Pictured], labels: Collection[str], units: str, turned: Callable[[str], bool]
) -> FoundBoxes:
    """Return each picture's boxes in its pixels, without those that are impossible, which the check tells.

    Where any box bears the name of a label, one with another name than its image's is around something else, such as
    the equipment, and is left out. Names that are never labels say nothing. `units` is data.box_units; `turned` says
    of a picture's id whether its EXIF data turns it.
    """
    found, problems, wrong = FoundBoxes(), [], []
    speaking = any(drawn.name in labels for picture in pictures for drawn in picture.boxes)
    count = 0
    for picture in pictures:
        boxes, notes = found.boxes.setdefault(picture.id, []), found.notes.setdefault(picture.id, [])
        for drawn in picture.boxes:
            if speaking and drawn.name not in ("", picture.label):
                notes.append(f"a box is named {drawn.name} and left out")
                continue
            count += 1
            stated = drawn if units == "pixels" else replace(drawn, fractions=True)
            try:
                box, note = stated.pixels(picture.width, picture.height)
            except InputError as error:
                problems.append(Problem(drawn.where, str(error).removeprefix(f"{drawn.where}: ")))
                notes.append("a box that cannot be one of this image is left out")
                wrong.append((stated, picture))
                continue
            boxes.append(box)
            notes += [note] if note else []
            if box[2] * box[3] >= WHOLE_PICTURE * picture.width * picture.height:
                found.whole.append(picture.id)
    problems.sort(key=_place)
    corners = _corners(pictures)
    problems += [Problem("", corners, fatal=True)] if corners and not problems else []
    found.check = Check("boxes", count, problems, corners or _explanation(wrong, turned))
    return found


def _place(problem: Problem) -> tuple[str, int]:
    """Return what puts problems of one file into the order of its lines."""
    file, _, number = problem.where.rpartition(" ")
    return (file, int(number)) if number.isdigit() else (problem.where, 0)


def _explanation(wrong: Sequence[tuple[DrawnBox, Pictured]], turned: Callable[[str], bool]) -> str:
    """Return what most of the wrong boxes have in common, with what to do; "" where they have nothing."""
    explanations: Mapping[str, Callable[[DrawnBox, Pictured], bool]] = {
        "These boxes look like fractions of the image's sides: where they are x, y, width and height, the point being "
        'the top left corner, set data.box_units = "fractions".': lambda box, _: _is_fractions(box),
        "These boxes fit their images as the camera stored them, before their EXIF orientation turns them upright: "
        "draw them on the upright images.": lambda box, own: (
            turned(own.id) and (box.picture == (own.height, own.width) or _inside(box, own.height, own.width))
        ),
        "These boxes fit where x and y, and width and height, change places.": lambda box, own: _inside(
            replace(box, x=box.y, y=box.x, width=box.height, height=box.width), own.width, own.height
        ),
        "These boxes fit where the last two numbers are the right and lower edge: take x and y off them, so that they "
        "are width and height.": lambda box, own: _inside(_by_corners(box), own.width, own.height),
    }
    for text, fits in explanations.items():
        if wrong and sum(fits(box, picture) for box, picture in wrong) >= MOST_OF_THEM * len(wrong):
            return text
    return ""


def _corners(pictures: Sequence[Pictured]) -> str:
    """Return what to do where all boxes of a source, read as two corners, fit, and many stick out as they are."""
    stated = [(box, picture) for picture in pictures for box in picture.boxes if not box.fractions]
    if not stated or not all(_inside(_by_corners(box), own.width, own.height) for box, own in stated):
        return ""
    out = sum(not _inside(box, own.width, own.height) for box, own in stated)
    if 2 * out < len(stated) or len(stated) < FEW_BOXES:
        return ""
    return (
        f"{out} of {len(stated)} boxes stick out of their images, and all fit where the last two numbers are the right "
        "and lower edge: if so, take x and y off them, so that they are width and height."
    )


def _is_fractions(box: DrawnBox) -> bool:
    return not box.fractions and all(0 <= side <= 1 for side in (box.x, box.y, box.width, box.height))


def _by_corners(box: DrawnBox) -> DrawnBox:
    return replace(box, width=box.width - box.x, height=box.height - box.y)


def _inside(box: DrawnBox, width: int, height: int) -> bool:
    """Whether a box of pixels lies within a picture of `width` x `height`, but for a pixel of rounding."""
    right, lower = box.x + box.width, box.y + box.height
    return min(box.x, box.y) >= -1 and min(box.width, box.height) > 1 and right <= width + 1 and lower <= height + 1


# The split


def check_split(counts: Mapping[str, Mapping[str, int]]) -> Check:
    """Check what no run can do without, by `counts` (label -> side -> images)."""
    sides = {side: sum(of_label[side] for of_label in counts.values()) for side in SIDES}
    taught = [label for label, of_label in counts.items() if of_label[TRAIN]]
    problems = []
    if len(taught) < 2:
        problems.append(
            "fewer than two classes have a training image, so there is nothing to tell apart; add images that show "
            "something else than those there are, or give the source's own lists more for training"
        )
    if not sides[TEST]:
        problems.append(
            "no image is left for testing, so no classifier could be judged: what there is shows one thing, or the "
            "source's own lists name none; add images, lower data.burst_gap or data.duplicate_bits, or list test images"
        )
    return Check("classes", len(counts), [Problem("", text, fatal=True) for text in problems])


def split_hints(data: DataSettings, counts: Mapping[str, Mapping[str, int]], groups: Mapping[str, int]) -> list[str]:
    """Say what the stages cannot do for want of images on a side; the run goes on without it.

    `counts` are label -> side -> images, `groups` how many groups the images of each label form.
    """
    faults = data.faults
    hints = [hint for label in counts for hint in _gaps(label, counts[label], groups[label])]
    few = [label for label in counts if groups[label] < data.folds]
    if few:
        seen = f"{', '.join(few)} {'has' if len(few) == 1 else 'have'}"
        hints.append(f"{seen} fewer groups than data.folds ({data.folds}), so some folds do not test them")
    held = Counter(side for of_label in counts.values() for side in SIDES if of_label[side])
    faulty = sum(counts[label][VAL] for label in faults if label in counts)
    if not held[VAL]:
        hints.append(
            "no image is left for validation: training images take its place, so thresholds and the choice of the best "
            "network are too optimistic"
        )
    elif faults and not faulty:
        hints.append("no validation image shows a fault, so no threshold can be fitted to any")
    return hints


_LACKING = {
    TRAIN: ("training", "it cannot be learned"),
    VAL: ("validation", "its threshold cannot be fitted"),
    TEST: ("test", "nothing tells how well it is found"),
}


def _gaps(label: str, images: Mapping[str, int], groups: int) -> list[str]:
    missing = [_LACKING[side] for side in SIDES if not images[side]]
    if not missing:
        return []
    count = sum(images.values())
    held = f"{groups} group{'s' * (groups > 1)} of images that show the same thing or visit"
    return [
        f"class {label} has no {' and no '.join(side for side, _ in missing)} image: "
        f"{'; '.join(cost for _, cost in missing)} (its {count} images are {held}); add images of other pieces of "
        "equipment and of other days"
    ]
