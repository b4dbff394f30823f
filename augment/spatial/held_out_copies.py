"""Changed copies of held-out pictures whose scores the harm gate reads: with the fault painted over, and with a
generator's traces but no fault.

Held-out pictures are those that a training judges and does not learn from.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from augment.arrays import Labels
from augment.data.image_store import ImageStore
from augment.data.split import judged_sides, learned_sides
from augment.evaluation.paint_out import paint_out
from augment.methods import Method, parse_method
from augment.models.interfaces import Painter
from augment.models.null_pictures import LEAVES_TRACES, null_picture
from augment.record_types import DatasetRecord
from augment.records import digest_of, item_seed
from augment.settings import Settings
from augment.spatial.tap_cache import TapCache
from augment.training.frame_cache import cached_frames
from augment.training.predictions import PAINTED
from edge_runtime.bundle.preprocess import Frame

Copies: TypeAlias = Mapping[str, TapCache]  # by what was done to the pictures

NO_COPIES: Copies = MappingProxyType({})
NULL_PICTURES = 60  # healthy pictures that a method composes without a fault: the interval of an AUC is then 10 points


@dataclass(frozen=True)
class HeldOutCopies:
    """Makes the copies below the folder `place`, and their taps as `taps` has those of the pictures themselves.

    `painter` returns the generator, which is loaded only where a method has passed pictures through it.
    """

    settings: Settings
    real: Sequence[DatasetRecord]
    taps: TapCache
    place: Path
    painter: Callable[[], Painter]
    _made: dict[str, TapCache | None] = field(default_factory=dict, init=False)  # for the trainings that come after

    def of(self, methods: Iterable[str]) -> dict[str, TapCache]:
        """Return the copies, as far as there are any, by PAINTED and by the names of `methods` that leave traces."""
        wanted = [PAINTED, *methods]
        for name in wanted:
            if name not in self._made:
                self._made[name] = self._painted() if name == PAINTED else self._composed(parse_method(name))
        return {name: copies for name in wanted if (copies := self._made[name]) is not None}

    def _painted(self) -> TapCache | None:
        """Return the real fault pictures with their boxes painted over; None where none has a box."""
        store, boxed = ImageStore(self.settings), [image for image in self.real if image.boxes]

        def opened(image: DatasetRecord) -> Frame:
            return paint_out(store.frame(image), image.boxes)

        return self._copies(PAINTED, boxed, opened, [[image.id, image.boxes] for image in boxed]) if boxed else None

    def _composed(self, method: Method) -> TapCache | None:
        """Return healthy pictures that `method` composed without a fault; None where it leaves no traces."""
        faults, folds = self.settings.data.faults, self.settings.train.cross_fit
        learned = [image for image in self.real if image.split in learned_sides(folds)]
        donors = [image for image in learned if image.boxes and image.label in faults]
        hosts = [image for image in self.real if image.label not in faults and image.split in judged_sides(folds)]
        if method.kind not in LEAVES_TRACES or not donors or not hosts:
            return None
        store = ImageStore(self.settings)
        chosen = [hosts[at] for at in np.unique(np.linspace(0, len(hosts) - 1, NULL_PICTURES).round().astype(int))]

        def opened(host: DatasetRecord) -> Frame:
            seed = item_seed(self.settings.seed, "null", f"{method.name}/{host.id}")
            donor = donors[seed % len(donors)]
            x, y, width, height = donor.boxes[0]
            box = (x, y, width, height)
            return null_picture(method, store.frame(host), store.frame(donor), box, seed, self.painter())

        return self._copies(method.name, chosen, opened, [image.id for image in donors])

    def _copies(
        self, name: str, images: Sequence[DatasetRecord], opened: Callable[[DatasetRecord], Frame], made_from: object
    ) -> TapCache:
        folder = self.place / name
        folder.mkdir(parents=True, exist_ok=True)
        key = [name, digest_of([made_from]), self.settings.seed]
        frames = cached_frames(folder, images, self.taps.spec, opened, key, f"{name} copies of held-out images")
        return replace(self.taps, canvases=frames, ids=[image.id for image in images], key=[self.taps.key, key])


def rows_of(ids: Sequence[str], copies: TapCache) -> Labels:
    """Return the row of the copy of each picture, (N,); -1 where it has none."""
    places = {name: row for row, name in enumerate(copies.ids)}
    return np.array([places.get(name, -1) for name in ids], np.int64)
