"""Which names can be labels, and which labels a person would take for one."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from augment.data.problems import Problem
from augment.file_names import safe_name
from edge_runtime.text_files import normal, printable

LONGEST = 100  # bytes of a label as a file name, and characters of its phrase: it has to fit into prompts and paths

JOINERS = re.compile("[\u200c\u200d]")  # invisible, and spelling in Persian, in Indian scripts and in emojis

# Cyrillic and Greek capitals and small letters that most fonts draw as Latin ones.
LOOK_ALIKES = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7\u03bf\u03bd",
    "ABEKMHOPCTYXaeopcyxijsABEZHIKMNOPTXov",
)


def label_problems(classes: Mapping[str, int], phrases: Mapping[str, str], root: Path) -> list[Problem]:
    """Return what is wrong with the labels `classes` and their `phrases`, the words for them in prompts."""
    found = [Problem(str(root), sentence, fatal=True) for label in classes if (sentence := _impossible(label))]
    for label, phrase in phrases.items():
        if not phrase.strip() or len(phrase) > LONGEST or not phrase.isprintable():
            found.append(
                Problem(
                    f"data.phrases of {printable(label)}",
                    f"'{printable(phrase)}' has {len(phrase)} characters, expected 1 to {LONGEST} in one line",
                    fatal=True,
                )
            )
    return found + _confusable(classes, root)


def _impossible(label: str) -> str:
    """Return why `label` cannot be one; "" where it can."""
    if not label:
        return "a label is empty; give the class a name"
    if not JOINERS.sub("", label).isprintable():
        return f"the label '{printable(label)}' holds line breaks or invisible characters; rename the class"
    if label.startswith(".") or set(label) & {"/", "\\"}:
        return f"label {label!r} cannot name a folder; use a word without slashes, and no dot at its beginning"
    if (size := len(safe_name(label).encode())) > LONGEST:
        return (
            f"the label {label!r} takes {size} bytes, expected at most {LONGEST}, since it names files and stands in "
            "prompts; give the class a short name, and its description to data.phrases or nowhere"
        )
    return ""


def _confusable(classes: Mapping[str, int], root: Path) -> list[Problem]:
    """Return a problem for labels that differ in case, blanks, dashes, underscores or look-alike letters only."""
    spellings: dict[str, list[str]] = {}
    for label in classes:
        spellings.setdefault(re.sub(r"[\s_-]+", " ", _latin(label)).strip().casefold(), []).append(label)
    return [
        Problem(
            str(root),
            f"the classes {' and '.join(f'{label} ({classes[label]} images)' for label in same)} differ in "
            f"{_difference(same)} only; give them one name",
            fatal=True,
        )
        for same in spellings.values()
        if len(same) > 1
    ]


def _difference(labels: list[str]) -> str:
    if len({label.casefold() for label in labels}) == 1:
        return "case"
    if len({_latin(label) for label in labels}) == 1:
        return f"letters that look alike, such as Latin and Cyrillic ones ({', '.join(map(ascii, labels))})"
    return "case, blanks, dashes or underscores"


def _latin(label: str) -> str:
    """Return the label with wide and joined letters, and letters of other alphabets that look the same, as Latin."""
    return unicodedata.normalize("NFKC", label).translate(LOOK_ALIKES)


def name_problems(names: Iterable[str], key: str, classes: Mapping[str, int], root: Path) -> list[Problem]:
    """Return a problem for each of `names`, which the setting `key` holds, that is none of the `classes`."""
    found = []
    for name in names:
        if normal(name) in classes:
            continue
        same = [label for label in classes if label.casefold() == normal(name).casefold()]
        near = difflib.get_close_matches(normal(name), classes, n=1)
        if same:
            sentence = f"names {name!r}, the class is {same[0]!r}: they differ in case; write {same[0]!r}"
        elif near:
            sentence = f"names {name!r}, which is no class of {root}; did you mean {near[0]!r}?"
        else:
            sentence = f"names {name!r}, which is no class of {root}; the classes are {', '.join(classes)}"
        found.append(Problem("", f"{key} {sentence}", fatal=True))
    return found
