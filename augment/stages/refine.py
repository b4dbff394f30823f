"""Stage 3, refine: GPT-2 turns each caption into several prompts that keep the class and vary the rest.

A caption keeps its class and may take the rest, its context, from any other caption: a class that keeps its own
backgrounds teaches them along with it (BOB, arXiv:2510.24078). It is then cut after one of its clauses and GPT-2 goes
on from there: the class stands first and is never rewritten.
What comes out must name the class and no other, stay near the caption's meaning, and differ from the caption's other
prompts; while prompts are missing GPT-2 draws again, and a caption for which nothing passes is its own prompt, or its
class alone where the captioner named another one.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from augment.models.registry import Models, TokenBudget, Writer
from augment.models.text_similarity import Meaning
from augment.progress import progress
from augment.records import Document, Record, RunFolder, item_seed
from augment.settings import RefineSettings, Settings, as_json

STAGE = "prompts"

# Why a variant was turned down.
EMPTY = "adds nothing"
CLASS_LOST = "class term lost"
OTHER_CLASS = "names another class"
TOO_LONG = "longer than the text encoder holds"
REPEATS = "repeats another prompt"
FAR = "far from the caption's meaning"
MARKUP = "markup or another script"


def run(settings: Settings, folder: RunFolder, models: Models) -> Document:
    """Write the prompts: records `{id, source, label, caption, context, prompt, tokens, drawn, kept}`.

    `context` is the id of the caption whose context went in, `drawn` and `kept` count the continuations of the prompt's
    caption; the summary counts why the others were rejected.
    """
    captions = folder.require("captions")
    inputs = {
        "parent": captions.digest,
        "settings": {"seed": settings.seed, **as_json(settings.refine)},
        "models": {
            "writer": models.writer_folder.identity,
            "text_encoder": models.painter_folder.identity,
            "meaning": models.meaning.identity,
        },
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    journal = folder.journal(STAGE, inputs)
    written = journal.read()
    phrases = {settings.phrase(record["label"]) for record in captions.records}
    for record in progress(captions.records, len(captions.records), "captions refined"):
        if record["id"] not in written:
            written[record["id"]] = _refine_one(settings, models, record, captions.records, phrases)
            journal.add([written[record["id"]]])
    results = [written[record["id"]] for record in captions.records]
    document = folder.write(
        Document(
            STAGE,
            records=list(_prompts(captions.records, results)),
            summary=_summary(settings, captions.records, results, phrases),
            **inputs,
        )
    )
    journal.clear()
    return document


def told(document: Document) -> str:
    """The stage in one line."""
    summary = document.summary
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary["rejected"].items())
    return f"{summary['prompts']} prompts from {summary['captions']} captions; rejected: {reasons or 'none'}"


def _refine_one(
    settings: Settings, models: Models, caption: Record, captions: Sequence[Record], phrases: Collection[str]
) -> Record:
    own = settings.phrase(caption["label"])
    others = {phrase for phrase in phrases if phrase != own}
    section, budget = settings.refine, models.token_budget
    context = caption
    if section.contexts == "all":
        seed = item_seed(settings.seed, STAGE, f"{caption['id']}/context")
        context = draw_context(caption, captions, own, others, seed)
    mixed = with_context(caption, context)
    drawn, sound, rejected = 0, [], Counter()
    kept: list[str] = []
    for turn in range(section.rounds):
        seed = item_seed(settings.seed, STAGE, f"{caption['id']}/{turn}" if turn else caption["id"])
        for text in draw_variants(models.writer, mixed, section, seed):
            drawn += 1
            reason = objection(text, own, others, budget)
            if reason:
                rejected[reason] += 1
            else:
                sound.append(text)
        kept, turned_down = choose(mixed, sound, section.variants, models.meaning)
        if len(kept) == section.variants:
            break
    rejected.update(turned_down)
    texts = kept or [own_prompt({**caption, "caption": mixed}, own, others, budget)]
    return {
        "id": caption["id"],
        "context": context["id"],
        "prompts": texts,
        "tokens": [budget.tokens(text) for text in texts],
        "drawn": drawn,
        "rejected": dict(sorted(rejected.items())),
        "kept_itself": not kept,
    }


def draw_context(
    caption: Record, captions: Sequence[Record], phrase: str, other_phrases: Collection[str], seed: int
) -> Record:
    """One of `captions`, each as likely, whose context names none of `other_phrases`; `caption` where there is none."""
    drawn = (captions[at] for at in np.random.default_rng(seed).permutation(len(captions)))
    fits = (other for other in drawn if not class_objection(with_context(caption, other), phrase, other_phrases))
    return next(fits, caption)


def with_context(caption: Record, other: Record) -> str:
    """The class of `caption` with what `other` says beyond its own."""
    return caption["prefix"] + other["caption"].removeprefix(other["prefix"])


def cuts(caption: str) -> list[str]:
    """The caption's beginnings, one per clause: `x, on grass` -> [`x,`, `x, on grass,`]."""
    clauses = caption.rstrip(" .,").split(", ")
    return [", ".join(clauses[: count + 1]) + "," for count in range(len(clauses))]


def draw_variants(writer: Writer, caption: str, settings: RefineSettings, seed: int) -> list[str]:
    """`settings.attempts` continued captions, spread evenly over the caption's cuts."""
    beginnings = cuts(caption)
    variants = []
    for index, beginning in enumerate(beginnings):
        count = len(range(index, settings.attempts, len(beginnings)))
        if count:
            added = writer.continuations(beginning, count, seed + index)
            variants += [join(beginning, text) for text in added]
    return variants


def join(beginning: str, continuation: str) -> str:
    """A beginning and the first sentence or line of what follows it, in single spaces."""
    first = re.split(r"[\n.!?;]", continuation.strip(), maxsplit=1)[0]
    return " ".join(f"{beginning} {first}".split()).rstrip(" ,")


def objection(text: str, phrase: str, other_phrases: Collection[str], budget: TokenBudget) -> str | None:
    """Why `text` cannot be a prompt for `phrase` whatever the caption, or None."""
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
    """Why `text` does not show `phrase` and no other class, or None."""
    if not _mentions(text, phrase):
        return CLASS_LOST
    if any(_mentions(text.lower().replace(phrase.lower(), " "), other) for other in other_phrases):
        return OTHER_CLASS
    return None


def choose(caption: str, sound: Sequence[str], wanted: int, meaning: Meaning) -> tuple[list[str], dict[str, int]]:
    """Up to `wanted` of the `sound` texts, each as unlike those before it as there is, and why others cannot be had.

    The first is the one nearest to the caption. Texts that are merely not needed are not counted.
    """
    texts = list(dict.fromkeys(sound))
    likeness = meaning.likeness([caption, *texts])
    near = [place for place in range(len(texts)) if likeness[0, place + 1] >= meaning.nearness]
    turned_down = {FAR: len(texts) - len(near), REPEATS: len(sound) - len(texts)}
    kept: list[int] = []
    while near and len(kept) < wanted:
        closest = {place: max((likeness[place + 1, other + 1] for other in kept), default=0.0) for place in near}
        apart = [place for place in near if closest[place] <= meaning.sameness]
        turned_down[REPEATS] += len(near) - len(apart)
        if not apart:
            break
        best = min(apart, key=closest.get) if kept else max(apart, key=lambda place: likeness[0, place + 1])
        kept.append(best)
        near = [place for place in apart if place != best]
    return [texts[place] for place in kept], {reason: count for reason, count in turned_down.items() if count}


def own_prompt(caption: Record, phrase: str, other_phrases: Collection[str], budget: TokenBudget) -> str:
    """The caption; else what conditioned it; else the bare `phrase`: the first that shows the class and no other."""
    texts = [fit(text, budget) for text in (caption["caption"], caption["prefix"], phrase)]
    return next((text for text in texts if not class_objection(text, phrase, other_phrases)), texts[-1])


def fit(text: str, budget: TokenBudget) -> str:
    """`text` without as many of its last words as the text encoder cannot hold."""
    words = text.split()
    while len(words) > 1 and budget.tokens(" ".join(words)) > budget.limit:
        words.pop()
    return " ".join(words).rstrip(" ,")


def _mentions(text: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase.lower())}(?!\w)", text.lower()) is not None


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _prompts(captions: list[Record], results: list[Record]) -> Iterator[Record]:
    for caption, result in zip(captions, results, strict=True):
        for number, (text, tokens) in enumerate(zip(result["prompts"], result["tokens"], strict=True)):
            yield {
                "id": f"{caption['id']}-{number}",
                "source": caption["id"],
                "label": caption["label"],
                "caption": caption["caption"],
                "context": result["context"],
                "prompt": text,
                "tokens": tokens,
                "drawn": result["drawn"],
                "kept": 0 if result["kept_itself"] else len(result["prompts"]),
            }


def _summary(
    settings: Settings, captions: list[Record], results: list[Record], phrases: Collection[str]
) -> dict[str, object]:
    lost = 0
    for caption, result in zip(captions, results, strict=True):
        own = settings.phrase(caption["label"])
        lost += sum(class_objection(text, own, set(phrases) - {own}) is not None for text in result["prompts"])
    prompts = sum(len(result["prompts"]) for result in results)
    rejected: Counter[str] = Counter()
    for result in results:
        rejected.update(result["rejected"])
    drawn = sum(result["drawn"] for result in results)
    return {
        "captions": len(results),
        "prompts": prompts,
        "drawn": drawn,
        "class_kept_when_drawn": 1 - (rejected[CLASS_LOST] + rejected[OTHER_CLASS]) / drawn if drawn else None,
        "class_kept": 1 - lost / prompts if prompts else None,
        "rejected": dict(sorted(rejected.items())),
        "kept_themselves": sum(result["kept_itself"] for result in results),
    }
