"""What `rarefault doctor` tells, for a terminal: what the dataset stage found, the most dangerous first. Pure.

A section says what was found, what it costs, and what to do. `exit_code` is for pipelines: 0 nothing found, 3 something
to look at, 1 something that stops a run.
"""

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from augment.data.layouts.folder_words import ANNOTATIONS
from augment.data.layouts.listing import NOT_READ
from augment.data.problems import CONTRADICTION, Check, Problem
from augment.evaluation.shortcut_audit import CONTAINER
from augment.evaluation.tables import aligned
from augment.json_objects import plain
from augment.record_types import DatasetRecord, DatasetSummary, LeftOut
from augment.settings import DataSettings

FINE, LOOK, STOPS = 0, 3, 1  # exit codes
WIDTH = 110  # characters of a line
MOST_LINES = 8  # of one section, unless all are asked for
SAID = {
    FINE: "Nothing was found that speaks against a run. To begin one: rarefault init RUN --data DATA --fault LABEL",
    LOOK: "A run goes on in spite of what is listed. Look at it first: what is measured may not hold.",
    STOPS: "A run stops at its first stage until what is listed first is mended.",
}
# Names of folders that hardly name what a picture shows.
_ODD = {
    "a part of a split": r"train(ing)?|valid(ation)?|val|test(ing)?|dev|holdout",
    "a collection": r"images?|imgs?|pictures?|pics|photos?|data|dcim|backup|copy|old|misc|other|"
    r"unsorted|untitled folder|new folder( \(\d+\))?|neuer ordner|tmp|temp|export|downloads?",
    "labels or masks rather than pictures": "|".join(sorted(ANNOTATIONS)),
    "a date": r"(19|20)\d\d[-_. ]?[01]\d[-_. ]?[0-3]\d.*",
    "a camera's own folder": r"\d{3}[A-Z_]{5}|\d{3}_\d{4}|\d{3}MEDIA",
}


@dataclass(frozen=True)
class Section:
    """One thing that was found: its title, lines that say where, and what to do next. `level` is an exit code."""

    level: int
    title: str
    lines: Sequence[str]
    advice: str = ""


def sections(
    summary: DatasetSummary, checks: Sequence[Check], data: DataSettings, further: Sequence[Section] = ()
) -> list[Section]:
    """Return what there is to tell, the most dangerous first; `further` are sections that others found."""
    contradicting = [entry for entry in summary.quarantined if entry.reason.startswith(CONTRADICTION)]
    elsewhere = {*summary.proposals, *(f"shortcut: {found.sentence}" for found in summary.shortcuts)}
    hints = [hint for hint in summary.hints if NOT_READ not in hint and hint not in elsewhere]
    found = [
        *further,
        Section(
            LOOK,
            f"{len(summary.unread)} files that may show something are {NOT_READ} and teach nothing",
            _entries(summary.unread),
            "Save them as JPEG or PNG in the folder of their class, or install what the line names.",
        ),
        Section(
            LOOK,
            f"{len(contradicting)} pictures stand under two labels",
            list(dict.fromkeys(entry.reason for entry in contradicting)),
            "They are left out of a run. Keep each under the label that is right, and delete the other.",
        ),
        *_leaks(summary),
        *_of_checks(summary, checks, data.most_problems),
        Section(LOOK, "What a classifier cannot learn or show from these pictures", hints),
        _odd_folders(summary.classes),
        Section(
            LOOK,
            f"{len(summary.dropped)} pictures are left out beside others",
            _entries(summary.dropped),
            "Nothing needs to be done: one of each is used. Where the source has lists of its own, correct these.",
        ),
        Section(
            LOOK,
            f"{len(summary.ignored)} files and folders are not read",
            _entries(summary.ignored),
            "Where one of them shows a fault, save it as JPEG or PNG in the folder of its class.",
        ),
    ]
    rank = {STOPS: 0, LOOK: 1, FINE: 2}
    return sorted((section for section in found if section.lines), key=lambda section: rank[section.level])


def _of_checks(summary: DatasetSummary, checks: Sequence[Check], most: float) -> list[Section]:
    """Return a section for each check that stops a run, for the other files that cannot be used, and other problems."""
    stopping = [check for check in checks if check.stops(most)]
    told = {str(problem) for check in stopping for problem in check.problems}
    quarantined = {f"{entry.path}: {entry.reason}": entry for entry in summary.quarantined}
    unusable = [
        entry for line, entry in quarantined.items() if line not in told and not entry.reason.startswith(CONTRADICTION)
    ]
    found = [
        Section(
            STOPS,
            check.headline(most) or f"The {check.what} do not allow a run",
            list(dict.fromkeys(map(str, check.problems))),
            check.advice or "Mend what is listed, then run this command again.",
        )
        for check in stopping
    ]
    advice = "They are left out of a run. Copy or save them again, or remove them."
    found.append(Section(LOOK, f"{len(unusable)} files cannot be used", _entries(unusable), advice))
    for check in checks:
        lines = [line for line in map(str, check.problems) if line not in quarantined]
        if check not in stopping:
            advice = check.advice or "They are left out of a run. Correct the lines that are named."
            found.append(Section(LOOK, f"{len(lines)} of {check.of} {check.what} are wrong", lines, advice))
    return found


def _leaks(summary: DatasetSummary) -> list[Section]:
    """Return what the summary says of look-alikes under two labels, copies across the split, groups and shortcuts."""
    container, glance = (
        [found.sentence for found in summary.shortcuts if (found.kind == CONTAINER) is of] for of in (True, False)
    )
    apart = {"of duplicates": summary.straddling_pairs, "made from one another": summary.straddling_copies}
    return [
        Section(
            LOOK,
            "Pictures that show the same stand on two sides of the split",
            [f"{count} pairs {what}: the source's own lists part them" for what, count in apart.items() if count],
            "What is measured on them means nothing: correct the lists, or leave the split to rarefault.",
        ),
        Section(
            LOOK,
            "Pictures that look alike stand under two labels",
            summary.contradictions,
            "Look at each pair, and put the picture that is wrong under its own label.",
        ),
        Section(
            LOOK,
            "A class can be told without looking at what its pictures show",
            container,
            "Take pictures of every class with the same cameras, on the same visits and in the same format.",
        ),
        Section(
            LOOK,
            "Pictures of one asset, visit or camera may stand on two sides of the split",
            summary.proposals,
            "Where that is so, set what is proposed in the settings of the run.",
        ),
        Section(FINE, "A glance tells classes apart, which may be the fault itself", glance),
    ]


def of_preflight(problems: Sequence[Problem], estimates: Sequence[str]) -> list[Section]:
    """Return sections for what `augment.models.preflight` found of models, packages, disk and time."""
    fatal, others = ([str(found) for found in problems if found.fatal is kind] for kind in (True, False))
    return [
        Section(STOPS, "What a run needs cannot be had", fatal, "Mend it; a run stops before its first stage."),
        Section(LOOK, "This machine may be too small", others),
        Section(FINE, "What a run will take", estimates),
    ]


def exit_code(found: Sequence[Section]) -> int:
    """Return the exit code for pipelines."""
    levels = {section.level for section in found}
    return STOPS if STOPS in levels else LOOK if LOOK in levels else FINE


def page(
    source: str, summary: DatasetSummary, records: Sequence[DatasetRecord], found: Sequence[Section], whole: bool
) -> str:
    """Return the report as text; `whole` lists every line of every section."""
    lines = [
        f"{source}: {summary.images} usable pictures of {len(summary.classes)} classes, layout {summary.layout}",
        "",
    ]
    lines += [*aligned(class_rows(summary, records)), ""]
    for number, section in enumerate(found, 1):
        lines += [*_wrapped(f"{number}. {section.title}", ""), *_listed(section, whole), ""]
    return "\n".join([*lines, SAID[exit_code(found)]])


def as_json(source: str, summary: DatasetSummary | None, found: Sequence[Section]) -> str:
    """Return the same for machines: exit code, sections with all their lines, and the summary of the dataset stage."""
    sections = [asdict(section) for section in found]
    content = {"source": source, "exit_code": exit_code(found), "sections": sections, "summary": summary}
    return json.dumps(content, indent=1, ensure_ascii=False, default=plain)


def of_refusal(error: str) -> list[Section]:
    """Return the one section that there is where the source cannot be listed."""
    return [Section(STOPS, "There is nothing to look at", error.splitlines())]


def _listed(section: Section, whole: bool) -> list[str]:
    shown = section.lines if whole else section.lines[:MOST_LINES]
    rest = len(section.lines) - len(shown)
    lines = [part for line in shown for part in _wrapped(line, "   - ", "     ")]
    lines += [f"   ... and {rest} more; --all lists them"] if rest else []
    return lines + (_wrapped(f"What to do: {section.advice}", "   ") if section.advice else [])


def _wrapped(text: str, first: str, later: str = "   ") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def _entries(left_out: Iterable[LeftOut]) -> list[str]:
    """Return a line for each reason that many files share, and for each file that is alone with its reason."""
    of_reason: dict[str, list[str]] = {}
    for entry in left_out:
        of_reason.setdefault(entry.reason, []).append(entry.path)
    lines = []
    for reason, paths in sorted(of_reason.items(), key=lambda item: -len(item[1])):
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        lines.append(f"{paths[0]}{more}: {reason}")
    return lines


def _odd_folders(classes: Iterable[str]) -> Section:
    seen = [
        f"{label} looks like {what}"
        for label in classes
        for what, pattern in _ODD.items()
        if re.fullmatch(pattern, label, re.IGNORECASE)
    ]
    return Section(
        LOOK,
        f"{len(seen)} names of classes hardly name what a picture shows",
        seen,
        "A class is what stands in data.source as a folder, or in a manifest's column label. Give the folder above the "
        "classes, or a manifest.",
    )


def class_rows(summary: DatasetSummary, records: Sequence[DatasetRecord]) -> list[list[str]]:
    """Return a head, and for each class its pictures, groups and sizes."""
    groups = Counter(label for label, _ in {(record.label, record.group) for record in records})
    rows = [["class", "pictures", "groups", "train", "val", "test", "smallest", "median", "largest"]]
    for label, sides in summary.classes.items():
        own = sorted(
            (record.width * record.height, record.width, record.height) for record in records if record.label == label
        )
        sizes = [f"{width} x {height}" for _, width, height in (own[0], own[(len(own) - 1) // 2], own[-1])]
        counts = [sum(sides.values()), groups[label], sides["train"], sides["val"], sides["test"]]
        rows.append([label, *map(str, counts), *sizes])
    return rows
