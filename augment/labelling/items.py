"""The pictures of a source as the labelling page asks about them, in the order that helps most."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from augment.data.image_store import ImageStore
from augment.labelling import order
from augment.labelling.out_of_fold import by_embedding, by_run, joined, of_decision
from augment.labelling.pictures import Listed, Looks, Picture
from augment.progress import progress, say
from augment.settings import Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.labelling.items import CONTRADICTED, Box, Item, Look, Proposal
from edge_runtime.labelling.proposals import judged_look

Chance = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """What is known before the first question: groups of pictures that show the same thing, and chances (N, K)."""

    groups: Sequence[str]
    chances: npt.NDArray[np.float64] | None


class SourceItems:
    """The items of a source. Pictures are read, and the model is asked, when the page comes to them."""

    def __init__(
        self,
        settings: Settings,
        listed: Listed,
        labels: Sequence[str],
        faults: Sequence[str],
        evaluator: Evaluator | None = None,
    ) -> None:
        self.labels, self.faults = tuple(labels), tuple(faults)
        self._settings, self._listed, self._evaluator = settings, listed, evaluator
        self._store = ImageStore(settings)
        self._by_path = {one.paths[0]: one for one in listed.pictures}
        self._sight = Sight([one.id for one in listed.pictures], None)

    def look_at_all(self, looks: Looks, run: Path | None) -> None:
        """Find out which pictures show the same thing and how likely each label is, before they are ordered."""
        groups = looks.groups()
        base = by_embedding(looks.vectors, self._targets, groups, len(self.labels), self._settings.seed)
        said, tests = by_run(run, self._settings, self.labels) if run else ({}, set())
        fresh = [one for one in self._listed.pictures if one.id not in said and (one.id in tests or not one.label)]
        answers = self._asked(fresh) if self._evaluator else {}
        ids = [one.id for one in self._listed.pictures]
        self._sight = Sight(groups, joined(ids, base, {**answers, **said}))

    @cached_property
    def order(self) -> list[Item]:
        """The pictures in their order; those whose files contradict each other first of all."""
        pictures = self._listed.pictures
        asked = order.Pictures(
            self.labels,
            self.faults,
            self._targets,
            self._sight.groups,
            np.array([bool(one.drawn) for one in pictures], bool),
            self._sight.chances,
        )
        turns = order.ordered(asked)
        doubled = [self._item(one, CONTRADICTED, one.others[0], None) for one in pictures if one.others]
        return doubled + [
            self._item(pictures[turn.row], turn.reason, turn.rival, turn.chance)
            for turn in turns
            if not pictures[turn.row].others
        ]

    def picture(self, item: Item) -> Frame:
        """Read the picture alone."""
        return self._store.read(self._listed.root / item.id).frame

    def look(self, item: Item) -> Look:
        """Read the picture and ask the model, where there is one."""
        picture, frame = self._by_path[item.id], self.picture(item)
        boxes = self.boxes_of(picture, (frame.shape[0], frame.shape[1]))
        if self._evaluator is None:
            return Look(frame, boxes, self._guess(picture))
        return judged_look(frame, boxes, self._evaluator.evaluate(frame), self._evaluator.bundle.manifest)

    def stated_boxes(self, every: bool) -> tuple[dict[str, tuple[Box, ...]], dict[str, tuple[int, int]]]:
        """Return the boxes that the source draws in pixels by the picture's id, and (width, height) by path.

        Pictures without boxes are read for their size only where `every` is set; one that cannot be read has neither.
        """
        asked = [one for one in self._listed.pictures if every or one.drawn]
        boxes: dict[str, tuple[Box, ...]] = {}
        sizes: dict[str, tuple[int, int]] = {}
        for picture in progress(asked, len(asked), "pictures measured"):
            try:
                height, width = self._store.read(self._listed.root / picture.paths[0]).frame.shape[:2]
            except InputError:
                continue
            boxes[picture.id] = self.boxes_of(picture, (height, width))
            sizes |= dict.fromkeys(picture.paths, (width, height))
        return boxes, sizes

    def boxes_of(self, picture: Picture, size: tuple[int, int]) -> tuple[Box, ...]:
        """Return the boxes that the source draws, in pixels; those that cannot be of this picture are left out."""
        found: list[Box] = []
        for drawn in picture.drawn:
            try:
                x, y, width, height = drawn.pixels(size[1], size[0])[0]
            except InputError as error:
                say(str(error))
                continue
            found.append((x, y, width, height))
        return tuple(found)

    @property
    def _targets(self) -> npt.NDArray[np.int64]:
        numbers = {label: number for number, label in enumerate(self.labels)}
        return np.array([numbers.get(one.label, order.UNKNOWN) for one in self._listed.pictures], np.int64)

    def _item(self, picture: Picture, reason: str, rival: str, chance: float | None) -> Item:
        return Item(picture.paths[0], picture.label, reason, rival, chance)

    def _asked(self, pictures: Sequence[Picture]) -> dict[str, Chance]:
        """Ask the bundle about pictures that it has not learnt from; what it cannot judge is left out."""
        assert self._evaluator is not None
        found = {}
        for picture in progress(pictures, len(pictures), "pictures that the bundle judges"):
            try:
                decision = self._evaluator.evaluate(
                    self._store.read(self._listed.root / picture.paths[0]).frame
                ).decision
            except InputError:
                continue
            if decision is not None:
                found[picture.id] = of_decision(decision, self.labels)
        return found

    def _guess(self, picture: Picture) -> Proposal | None:
        """Return what the quick classifiers think, where there is no model with maps."""
        if self._sight.chances is None:
            return None
        chances = self._sight.chances[self._listed.pictures.index(picture)]
        return Proposal(self.labels[int(chances.argmax())], float(chances.max()))
