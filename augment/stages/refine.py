"""Stage 3, refine: GPT-2 turns each caption into several prompts that keep the class and vary the rest.

A caption keeps its class and may take the rest, its context, from any other caption: a class that keeps its own
backgrounds teaches them along with it (BOB, arXiv:2510.24078). It is then cut after one of its clauses and GPT-2 goes
on from there: the class stands first and is never rewritten.
What comes out must name the class and no other, stay near the caption's meaning, and differ from the caption's other
prompts; while prompts are missing GPT-2 draws again, and a caption for which nothing passes is its own prompt, or its
class alone where the captioner named another one.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar

import numpy as np

from augment.engines.interface import Engine
from augment.engines.local import IN_THIS_PROCESS
from augment.models.interfaces import TokenBudget
from augment.models.prompt_rules import CLASS_LOST, OTHER_CLASS, choose, class_objection, draw_variants, objection, trim
from augment.models.registry import Models
from augment.record_types import CaptionRecord, PromptRecord, PromptSummary, RefinedCaption
from augment.records import CAPTIONS, PROMPTS, Document, RunFolder, StageInputs, item_seed
from augment.settings import Settings

SHUFFLED, DRAWN = 4096, 256  # captions
PromptDocument = Document[PromptRecord, PromptSummary]


def run(settings: Settings, folder: RunFolder, models: Models, engine: Engine = IN_THIS_PROCESS) -> PromptDocument:
    """Write the prompts of every caption; the summary counts why other continuations were rejected."""
    captions = folder.require(CAPTIONS)
    identities = {
        "writer": models.writer_folder.identity,
        "text_encoder": models.painter_folder.identity,
        "meaning": models.text_similarity.identity,
    }
    inputs = StageInputs.of(captions.digest, settings.refine, {"seed": settings.seed}, identities)
    if done := folder.finished(PROMPTS, inputs):
        return done
    journal = folder.journal(PROMPTS, RefinedCaption, inputs.to_json())
    phrases = {settings.phrase(record.label) for record in captions.records}
    work = _Refining(settings, models, captions.records, phrases)
    written = engine.map(work, [[record] for record in captions.records], journal, attrgetter("id"))
    results = [written[record.id] for record in captions.records]
    summary = _summary(settings, captions.records, results, phrases)
    return folder.write(Document(PROMPTS, inputs, list(_prompts(captions.records, results)), summary))


def summary_line(document: PromptDocument) -> str:
    """Say in one line what the stage did."""
    summary = document.summary
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary.rejected.items())
    return f"{summary.prompts} prompts from {summary.captions} captions; rejected: {reasons or 'none'}"


@dataclass(frozen=True)
class _Refining:
    """The work on captions, one a batch; each may take its context from any other."""

    what: ClassVar[str] = "captions refined"
    settings: Settings
    models: Models
    captions: Sequence[CaptionRecord]
    phrases: Collection[str]

    def start(self) -> Callable[[Sequence[CaptionRecord]], list[RefinedCaption]]:
        """Return what refines a batch."""
        return lambda batch: [
            _refine_one(self.settings, self.models, caption, self.captions, self.phrases) for caption in batch
        ]


def _refine_one(
    settings: Settings,
    models: Models,
    caption: CaptionRecord,
    captions: Sequence[CaptionRecord],
    phrases: Collection[str],
) -> RefinedCaption:
    """Draw continuations of the caption, with its own or another context, until enough pass or the rounds are over."""
    own = settings.phrase(caption.label)
    others = {phrase for phrase in phrases if phrase != own}
    section, budget = settings.refine, models.token_budget
    context = caption
    if section.contexts == "all":
        seed = item_seed(settings.seed, PROMPTS.document, f"{caption.id}/context")
        context = draw_context(caption, captions, own, others, seed)
    mixed = with_context(caption, context)
    drawn = 0
    usable: list[str] = []
    rejected: Counter[str] = Counter()
    kept: list[str] = []
    for turn in range(section.rounds):
        seed = item_seed(settings.seed, PROMPTS.document, f"{caption.id}/{turn}" if turn else caption.id)
        for text in draw_variants(models.writer, mixed, section, seed):
            drawn += 1
            reason = objection(text, own, others, budget)
            if reason:
                rejected[reason] += 1
            else:
                usable.append(text)
        kept, turned_down = choose(mixed, usable, section.variants, models.text_similarity)
        if len(kept) == section.variants:
            break
    rejected.update(turned_down)
    texts = kept or [own_prompt(mixed, caption.prefix, own, others, budget)]
    return RefinedCaption(
        id=caption.id,
        context=context.id,
        prompts=texts,
        tokens=[budget.tokens(text) for text in texts],
        drawn=drawn,
        rejected=dict(sorted(rejected.items())),
        kept_itself=not kept,
    )


def draw_context(
    caption: CaptionRecord, captions: Sequence[CaptionRecord], phrase: str, other_phrases: Collection[str], seed: int
) -> CaptionRecord:
    """Draw one of `captions`, each as likely, whose context names none of `other_phrases`; else return `caption`."""
    fits = (
        other
        for other in (captions[at] for at in _in_random_order(len(captions), seed))
        if not class_objection(with_context(caption, other), phrase, other_phrases)
    )
    return next(fits, caption)


def _in_random_order(count: int, seed: int) -> Iterator[int]:
    """Yield the places 0 to `count` - 1, each once.

    To shuffle all for each of many captions would take the square of their number, so of more than SHUFFLED the first
    are drawn one by one; few are needed where other captions fit.
    """
    rng = np.random.default_rng(seed)
    drawn = dict.fromkeys(rng.integers(count, size=DRAWN).tolist()) if count > SHUFFLED else {}
    yield from drawn
    yield from (at for at in rng.permutation(count).tolist() if at not in drawn)


def with_context(caption: CaptionRecord, other: CaptionRecord) -> str:
    """Return the class of `caption` with what `other` says beyond its own."""
    return caption.prefix + other.caption.removeprefix(other.prefix)


def own_prompt(caption: str, prefix: str, phrase: str, other_phrases: Collection[str], budget: TokenBudget) -> str:
    """Return the caption, its prefix or the bare `phrase`: the first that shows the class and no other."""
    texts = [trim(text, budget) for text in (caption, prefix, phrase)]
    return next((text for text in texts if not class_objection(text, phrase, other_phrases)), texts[-1])


def _prompts(captions: Sequence[CaptionRecord], results: Sequence[RefinedCaption]) -> Iterator[PromptRecord]:
    for caption, result in zip(captions, results, strict=True):
        for number, (text, tokens) in enumerate(zip(result.prompts, result.tokens, strict=True)):
            yield PromptRecord(
                id=f"{caption.id}-{number}",
                source=caption.id,
                label=caption.label,
                caption=caption.caption,
                context=result.context,
                prompt=text,
                tokens=tokens,
                drawn=result.drawn,
                kept=0 if result.kept_itself else len(result.prompts),
            )


def _summary(
    settings: Settings, captions: Sequence[CaptionRecord], results: Sequence[RefinedCaption], phrases: Collection[str]
) -> PromptSummary:
    lost = 0
    rejected: Counter[str] = Counter()
    for caption, result in zip(captions, results, strict=True):
        own = settings.phrase(caption.label)
        lost += sum(class_objection(text, own, set(phrases) - {own}) is not None for text in result.prompts)
        rejected.update(result.rejected)
    prompts = sum(len(result.prompts) for result in results)
    drawn = sum(result.drawn for result in results)
    return PromptSummary(
        captions=len(results),
        prompts=prompts,
        drawn=drawn,
        class_kept_when_drawn=1 - (rejected[CLASS_LOST] + rejected[OTHER_CLASS]) / drawn if drawn else None,
        class_kept=1 - lost / prompts if prompts else None,
        rejected=dict(sorted(rejected.items())),
        kept_themselves=sum(result.kept_itself for result in results),
    )
