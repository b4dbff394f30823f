"""Which level of folders names the class, which the side of the split, and what stays together. Pure.

The setting `data.levels` says it. Without it the levels are read where their names leave one meaning; else InputError
says what they look like and how to say it. A folder is never taken for a class because it happens to lie on top.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from augment.data.layouts import folder_words as words
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import normal, printable

CLASS, SPLIT, ANY = "class", "split", "*"  # words of `data.levels`; any other word names what stays together
MOST_NAMED = 6  # folders in a sentence
BESIDE = "lies beside the class folders, so it has no label"

Folders = tuple[str, ...]  # the folders that a picture lies in, from the source's root


@dataclass(frozen=True)
class Place:
    """What the folders of one picture say."""

    label: str
    sides: tuple[str, ...] | None
    group: str | None


@dataclass(frozen=True)
class Levels:
    """The roles of the levels from the top, as `data.levels` would say them, and a note on how they were found."""

    roles: tuple[str, ...]
    note: str = ""


class _Unclear(Exception):
    """Folders that could mean several things: what they look like, and the roles that a person may choose from."""

    def __init__(self, look: str, *choices: tuple[str, ...]) -> None:
        super().__init__(look)
        self.look, self.choices = look, choices

    def below(self, role: str) -> "_Unclear":
        """Return the same one level down."""
        return _Unclear(self.look, *((role, *roles) for roles in self.choices))

    def sentence(self, skipped: Collection[int]) -> str:
        """Return what to do; `skipped` are the levels that mean nothing, of which the choices do not know."""
        spelled = " or ".join(f'data.levels = "{"/".join(_with_skips(roles, skipped))}"' for roles in self.choices)
        return (
            f"{self.look}; which level of folders names the class? Say it from the top: {spelled} in pipeline.toml, "
            "or the same with --levels. The words are class, split (train, valid, test), * (means "
            "nothing) and any other, such as site or date, for what stays together on one side"
        )


def read_levels(
    folders: Collection[Folders], setting: str, named: Collection[str]
) -> tuple[dict[Folders, "Place | str"], str]:
    """Return what each of the `folders` of pictures says, or why it says nothing, and a note on how that was read.

    `setting` is `data.levels`, `named` are the labels that the settings speak of. InputError where that is unclear.
    """
    if setting:
        return {chain: place_of(chain, parse_levels(setting)) for chain in folders}, ""
    telling = without_containers(folders)
    kept = {chain: short for chain, short in telling.items() if short is not None}
    try:
        levels = recognise({short for short in kept.values() if short}, named)
    except _Unclear as unclear:
        raise InputError(unclear.sentence(_skipped(kept))) from None
    places = {chain: place_of(short, levels.roles) for chain, short in kept.items()}
    return {chain: places.get(chain, "lies in a folder for masks or labels") for chain in folders}, levels.note


def parse_levels(setting: str) -> tuple[str, ...]:
    """Return the roles that `data.levels` names."""
    return tuple(part.strip() for part in setting.split("/"))


def place_of(folders: Folders, roles: Sequence[str]) -> Place | str:
    """Return what the folders say of a picture, or why they say nothing."""
    if not folders:
        return BESIDE
    named = dict(zip(roles, folders, strict=False))
    if CLASS not in named:
        return f"lies in no folder that names its class (levels {'/'.join(roles)})"
    sides = words.side_of(named[SPLIT]) if SPLIT in named else None
    if SPLIT in named and sides is None:
        return f"lies in {named[SPLIT]!r}, which is no side of a split such as train, valid or test"
    together = [name for role, name in zip(roles, folders, strict=False) if role not in (CLASS, SPLIT, ANY)]
    return Place(named[CLASS], sides, "/".join(together) or None)


# Recognising


def without_containers(folders: Collection[Folders]) -> dict[Folders, Folders | None]:
    """Return, by each picture's folders, those of them that mean something; None where they hold masks and the like.

    A folder such as `images` means nothing where no other folder lies beside it; a folder such as `masks` beside it, or
    beside the sides of a split, holds no pictures to learn from.
    """
    beside: dict[Folders, set[str]] = {}
    for chain in folders:
        for depth, name in enumerate(chain):
            beside.setdefault(chain[:depth], set()).add(name)
    return {chain: _telling(chain, beside) for chain in folders}


def _telling(chain: Folders, beside: Mapping[Folders, Collection[str]]) -> Folders | None:
    kept: list[str] = []
    for depth, name in enumerate(chain):
        others = [other for other in beside[chain[:depth]] if not words.is_annotation(other)]
        holder = len(others) == 1 and words.is_container(others[0])
        if words.is_annotation(name) and others and (holder or all(map(words.side_of, others))):
            return None
        if not (holder and name == others[0]):
            kept.append(name)
    return tuple(kept)


def _skipped(kept: Mapping[Folders, Folders]) -> set[int]:
    """Return the levels, from 0, at which every picture lies in a folder that means nothing."""
    deepest = min((len(chain) for chain in kept), default=0)
    return {
        level
        for level in range(deepest)
        if all(words.is_container(chain[level]) and chain[level] not in short for chain, short in kept.items())
    }


def _with_skips(roles: tuple[str, ...], skipped: Collection[int]) -> tuple[str, ...]:
    spelled: list[str] = []
    for role in roles:
        while len(spelled) in skipped:
            spelled.append(ANY)
        spelled.append(role)
    return tuple(spelled)


def recognise(folders: Collection[Folders], named: Collection[str]) -> Levels:
    """Return what the levels of `folders` mean; `named` are the labels that the settings speak of.

    Raises `_Unclear` where they could mean several things.
    """
    tops, below = _names(folders, 0), _names(folders, 1)
    if not tops:
        return Levels((CLASS,))
    unnamed = tops - {top for top in tops if normal(top) in named}
    splits = {top for top in unnamed if words.side_of(top)}
    if splits and splits == tops:
        return _below_split(folders, tops, named)
    if splits:
        raise _unclear(splits, "look like sides of a split, and others beside them do not", ("class",))
    if unnamed == tops and all(map(words.is_fold, tops)):
        raise _unclear(tops, "look like parts of a split", ("*", "class") if below else ("class",))
    if inner := _split_below(folders, below):
        return inner
    if len(unnamed) < len(tops):
        return Levels((CLASS,))
    if {normal(name) for name in below} & set(named):
        raise _unclear(tops, "hold folders that the settings name as labels", ("site", "class"), ("*", "class"))
    _refuse_other_meanings(folders, tops, below)
    return Levels((CLASS,), _kept_together(folders, below))


def _names(folders: Collection[Folders], level: int) -> set[str]:
    return {chain[level] for chain in folders if len(chain) > level}


def _below_split(folders: Collection[Folders], tops: set[str], named: Collection[str]) -> Levels:
    inside = {chain[1:] for chain in folders if chain}
    if not any(inside):
        raise _no_class(tops)
    try:
        rest = recognise({chain for chain in inside if chain}, named)
    except _Unclear as unclear:
        raise unclear.below(SPLIT) from None
    if SPLIT in rest.roles:
        raise _unclear(tops, "and the folders below them look like sides of a split", ("split", "*", "class"))
    if len({words.side_of(top) for top in tops}) == 1:
        note = f"the folder {_listed(tops)} is the only side of a split, so the split is made anew"
        return Levels((ANY, *rest.roles), note)
    note = f"read as {'/'.join((SPLIT, *rest.roles))}: the folders {_listed(tops)} are the sides of the split"
    return Levels((SPLIT, *rest.roles), note)


def _no_class(tops: set[str]) -> InputError:
    return InputError(
        f"{_folders(tops)} look like sides of a split, and no folder below them names a class; where boxes name what "
        "is shown, as in exports for detectors, write a manifest.csv with the columns path,label,split; if the folders "
        f'are the classes, set data.levels = "{CLASS}" (--levels)'
    )


def _split_below(folders: Collection[Folders], below: set[str]) -> Levels | None:
    """Return class/split where all folders of the second level are sides."""
    sides = {name for name in below if words.side_of(name)}
    if len({words.side_of(name) for name in sides}) < 2:
        return None
    tops = _names(folders, 0)
    direct = any(len(chain) == 1 for chain in folders)
    if sides != below or direct:
        raise _unclear(sides, "below the first level look like sides of a split, others do not", ("class",))
    if _names(folders, 2) and not words.are_instances(_names(folders, 2)):
        raise _unclear(
            tops, "hold sides of a split, and these hold folders", ("class", "split"), ("*", "split", "class")
        )
    return Levels((CLASS, SPLIT), f"read as {CLASS}/{SPLIT}: the folders {_listed(below)} are the sides of the split")


def _refuse_other_meanings(folders: Collection[Folders], tops: set[str], below: set[str]) -> None:
    """Raise InputError where the first level looks like something else than classes."""
    if words.has_date(tops) or (words.are_dates(tops) and len(tops) > 1):
        raise _unclear(tops, "look like dates", *([("date", "class")] if below else []), ("class",))
    inner = below and not words.are_instances(below)
    if words.are_places(tops) and (inner or not below):
        raise _unclear(tops, "look like sites, visits or cameras", *([("site", "class")] if below else []), ("class",))
    lone = len(tops) == 1 and len(below) > 1 and not any(len(chain) == 1 for chain in folders)
    if lone and inner:
        raise _unclear(tops, f"holds everything, in folders {_listed(below)}", ("*", "class"), ("class",))
    for level in range(1, min(map(len, folders))):
        if same := _repeated(folders, level):
            look = f"hold folders of the same names ({_listed(same)})"
            raise _unclear(tops, look, ("site", *["visit"] * (level - 1), "class"), ("class",))


def _repeated(folders: Collection[Folders], level: int) -> set[str]:
    """Return the names of a level, from 0, that may be classes and stand under several folders of the first level."""
    names = _names(folders, level)
    if len(names) < 2 or words.are_instances(names):
        return set()
    under = Counter(name for _, name in {(chain[0], chain[level]) for chain in folders})
    return {name for name, count in under.items() if count > 1}


def _kept_together(folders: Collection[Folders], below: set[str]) -> str:
    """Propose to keep what one visit, place or camera gave on one side, where folders tell them."""
    if not below or not words.are_instances(below):
        return ""
    word, look = ("date", "dates") if words.are_dates(below) else ("site", "places or visits")
    return (
        f"the folders {_listed(below)} below the classes look like {look}; "
        f'data.levels = "class/{word}" keeps what lies under one name on one side of the split'
    )


# Sentences


def _unclear(names: Collection[str], look: str, *choices: tuple[str, ...]) -> _Unclear:
    said = re.sub(r"^(look|hold)\b", r"\1s", look) if len(names) == 1 else look
    return _Unclear(f"{_folders(names)} {said}", *choices)


def _folders(names: Collection[str]) -> str:
    return f"the {'folder' if len(names) == 1 else 'folders'} {_listed(names)}"


def _listed(names: Collection[str]) -> str:
    ordered = sorted(printable(name) for name in names)
    more = f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else ""
    return ", ".join(ordered[:MOST_NAMED]) + more
