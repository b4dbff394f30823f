"""Stage 3, refine: GPT-2 turns each caption into several prompts that keep the class and vary the rest.

A caption is cut after one of its clauses and GPT-2 goes on from there: the class stands first and is never rewritten.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator

from augment.models import Models, TokenBudget, Writer
from augment.progress import progress
from augment.records import Document, Record, RunFolder, item_seed
from augment.settings import RefineSettings, Settings, as_json

STAGE = "prompts"
SAME_WORDS = 0.9  # two prompts of one caption that share more of their words than this (Jaccard) say the same

# Why a variant was turned down.
EMPTY = "adds nothing"
CLASS_LOST = "class term lost"
OTHER_CLASS = "names another class"
TOO_LONG = "longer than the text encoder holds"
REPEATS = "repeats a variant"
MARKUP = "markup or another script"


def run(settings: Settings, folder: RunFolder, models: Models) -> Document:
    """Write the prompts: records `{id, source, label, caption, prompt, tokens}`; rejected variants are counted."""
    captions = folder.require("captions")
    inputs = {
        "parent": captions.digest,
        "settings": {"seed": settings.seed, **as_json(settings.refine)},
        "models": {"writer": models.writer_folder.identity, "text_encoder": models.painter_folder.identity},
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    journal = folder.journal(STAGE, inputs)
    written = journal.read()
    phrases = {settings.phrase(record["label"]) for record in captions.records}
    for record in progress(captions.records, len(captions.records), "captions refined"):
        if record["id"] not in written:
            written[record["id"]] = _refine_one(settings, models, record, phrases)
            journal.add([written[record["id"]]])
    results = [written[record["id"]] for record in captions.records]
    document = folder.write(
        Document(STAGE, records=list(_prompts(captions.records, results)), summary=_summary(results), **inputs)
    )
    journal.clear()
    return document


def told(document: Document) -> str:
    """The stage in one line."""
    summary = document.summary
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary["rejected"].items())
    return f"{summary['prompts']} prompts from {summary['captions']} captions; rejected: {reasons or 'none'}"


def _refine_one(settings: Settings, models: Models, caption: Record, phrases: Collection[str]) -> Record:
    own = settings.phrase(caption["label"])
    others = {phrase for phrase in phrases if phrase != own}
    seed = item_seed(settings.seed, STAGE, caption["id"])
    drawn = draw_variants(models.writer, caption["caption"], settings.refine, seed)
    kept, rejected = choose_variants(drawn, own, others, settings.refine.variants, models.token_budget)
    fallback = fit(caption["caption"], models.token_budget)
    texts = kept or [fallback]
    tokens = [models.token_budget.tokens(text) for text in texts]
    return {"id": caption["id"], "prompts": texts, "tokens": tokens, "rejected": rejected, "kept_itself": not kept}


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


def choose_variants(
    drawn: list[str], phrase: str, other_phrases: Collection[str], wanted: int, budget: TokenBudget
) -> tuple[list[str], dict[str, int]]:
    """The first `wanted` variants that pass, and how many were turned down for which reason."""
    kept: list[str] = []
    rejected: Counter[str] = Counter()
    for text in drawn:
        if len(kept) == wanted:
            break
        reason = objection(text, phrase, other_phrases, kept, budget)
        if reason:
            rejected[reason] += 1
        else:
            kept.append(text)
    return kept, dict(sorted(rejected.items()))


def objection(
    text: str, phrase: str, other_phrases: Collection[str], kept: list[str], budget: TokenBudget
) -> str | None:
    """Why `text` cannot be a prompt for `phrase`, or None."""
    if not _mentions(text, phrase):
        return CLASS_LOST
    if any(_mentions(text.lower().replace(phrase.lower(), " "), other) for other in other_phrases):
        return OTHER_CLASS
    if not text.isascii() or re.search(r"[<>{}\[\]|\\@#_=]|https?:|www\.", text):
        return MARKUP
    if _words(text) <= _words(phrase) | {"a", "photo", "of"}:
        return EMPTY
    if budget.tokens(text) > budget.limit:
        return TOO_LONG
    if any(similarity(text, other) > SAME_WORDS for other in kept):
        return REPEATS
    return None


def similarity(left: str, right: str) -> float:
    """Jaccard index of the two texts' words."""
    one, two = _words(left), _words(right)
    return len(one & two) / len(one | two) if one | two else 1.0


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
                "prompt": text,
                "tokens": tokens,
            }


def _summary(results: list[Record]) -> dict[str, object]:
    rejected: Counter[str] = Counter()
    for result in results:
        rejected.update(result["rejected"])
    return {
        "captions": len(results),
        "prompts": sum(len(result["prompts"]) for result in results),
        "rejected": dict(sorted(rejected.items())),
        "kept_themselves": sum(result["kept_itself"] for result in results),
    }
