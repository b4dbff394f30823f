"""The rules that prompts keep: what is written on from a caption, which texts may stand, and which are chosen.

A caption is cut after one of its clauses and the writer goes on from there: the class stands first and is never
rewritten. What comes out must name the class and no other, stay near the caption's meaning, and differ from the
caption's other prompts.
"""

import re
from collections.abc import Collection, Sequence

from augment.models.interfaces import TextSimilarity, TokenBudget, Writer
from augment.settings import RefineSettings

# Why a variant was turned down.
EMPTY = "adds nothing"
CLASS_LOST = "class term lost"
OTHER_CLASS = "names another class"
TOO_LONG = "longer than the text encoder holds"
REPEATS = "repeats another prompt"
FAR = "far from the caption's meaning"
MARKUP = "markup or another script"


def cuts(caption: str) -> list[str]:
    """Return the beginnings of a caption, one per clause: `x, on grass` -> [`x,`, `x, on grass,`]."""
    clauses = caption.rstrip(" .,").split(", ")
    return [", ".join(clauses[: count + 1]) + "," for count in range(len(clauses))]


def draw_variants(writer: Writer, caption: str, section: RefineSettings, seed: int) -> list[str]:
    """Return `section.attempts` continued captions, spread evenly over the caption's cuts."""
    beginnings = cuts(caption)
    variants = []
    for index, beginning in enumerate(beginnings):
        count = len(range(index, section.attempts, len(beginnings)))
        if count:
            added = writer.continuations(beginning, count, seed + index)
            variants += [join(beginning, text) for text in added]
    return variants


def join(beginning: str, continuation: str) -> str:
    """Join a beginning and the first sentence or line of what follows it, in single spaces."""
    first = re.split(r"[\n.!?;]", continuation.strip(), maxsplit=1)[0]
    return " ".join(f"{beginning} {first}".split()).rstrip(" ,")


def objection(text: str, phrase: str, other_phrases: Collection[str], budget: TokenBudget) -> str | None:
    """Return why `text` cannot be a prompt for `phrase` whatever the caption, or None."""
    if wrong := class_objection(text, phrase, other_phrases):
        return wrong
    if not text.isascii() or re.search(r"[<>{}\[\]|\\@#_=]|https?:|www\.", text):
        return MARKUP
    if _words(text) <= _words(phrase) | {"a", "photo", "of"}:
        return EMPTY
    if budget.tokens(text) > budget.limit:
        return TOO_LONG
    return None


def class_objection(text: str, phrase: str, other_phrases: Collection[str]) -> str | None:
    """Return why `text` does not name `phrase` and no other class, or None."""
    if not _mentions(text, phrase):
        return CLASS_LOST
    if any(_mentions(text.lower().replace(phrase.lower(), " "), other) for other in other_phrases):
        return OTHER_CLASS
    return None


def choose(
    caption: str, usable: Sequence[str], wanted: int, similarity: TextSimilarity
) -> tuple[list[str], dict[str, int]]:
    """Return up to `wanted` of the `usable` texts, each as unlike those before it as there is, and why others fail.

    The first is the one nearest to the caption. Texts that are merely not needed are not counted.
    """
    texts = list(dict.fromkeys(usable))
    likeness = similarity.likeness([caption, *texts])
    near = [place for place in range(len(texts)) if likeness[0, place + 1] >= similarity.nearness]
    turned_down = {FAR: len(texts) - len(near), REPEATS: len(usable) - len(texts)}
    kept: list[int] = []
    while near and len(kept) < wanted:
        closest = {place: max((likeness[place + 1, other + 1] for other in kept), default=0.0) for place in near}
        apart = [place for place in near if closest[place] <= similarity.sameness]
        turned_down[REPEATS] += len(near) - len(apart)
        if not apart:
            break
        score = {place: -closest[place] if kept else likeness[0, place + 1] for place in apart}
        kept.append(max(apart, key=lambda place: score[place]))
        near = [place for place in apart if place != kept[-1]]
    return [texts[place] for place in kept], {reason: count for reason, count in turned_down.items() if count}


def trim(text: str, budget: TokenBudget) -> str:
    """Return `text` without its last words, as many as the text encoder cannot hold."""
    words = text.split()
    while len(words) > 1 and budget.tokens(" ".join(words)) > budget.limit:
        words.pop()
    return " ".join(words).rstrip(" ,")


def _mentions(text: str, phrase: str) -> bool:
    wanted, text = phrase.lower(), text.lower()
    # The plain search comes first: with 1,000 phrases, hardly any of which is there, patterns cost most of the time.
    return wanted in text and re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text) is not None


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
