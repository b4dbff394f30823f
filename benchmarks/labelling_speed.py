"""How long does labelling a picture take, with the model's proposals and without? A script plays the person.

    python -m benchmarks.labelling_speed RUN --out OUT --pictures 60

RUN is a finished run of `rarefault`; its bundle proposes, and the pictures are those of its test set, half of them with
a fault and its boxes. They have no label and no boxes at first, as new ones do.

No person took part: the seconds of hand and eye come from a model, and only those of the page are measured. A real page
is served to a real browser, and the script answers with the right label and right boxes by the keys and the mouse that
a person has. It is charged, by the keystroke-level model (Card, Moran & Newell 1980, Communications of the ACM 23):
1.35 s to look and decide (M) for each picture, and once more for each box that is checked or drawn; 0.28 s for a key of
an average typist (K); 0.40 s to bring a hand from the keys to the mouse or back (H); 0.10 s to press or release a
button (B). Pointing costs 0.230 + 0.166 log2(D / W + 1) s, dragging 0.135 + 0.249 log2(D / W + 1) s, for D pixels of
the screen and a target of W (MacKenzie, Sellen & Buxton 1991, CHI '91, the mouse), W being 8 px for a corner of a box.
The person takes the model's box where it overlaps the true one by --overlap (intersection over union), and else removes
it and draws one. To this the seconds are added from the last key of an answer to the next picture on the screen. What
an experienced eye needs for a hard picture is not in the model: take the difference between the two ways as the result,
not the seconds of either.
"""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from augment.data.split import TEST
from augment.json_objects import write_json
from augment.labelling.commands import open_evaluator
from augment.labelling.items import SourceItems
from augment.labelling.pictures import Listed, list_pictures
from augment.records import DATASET, RunFolder
from augment.settings import Settings, load_settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.labelling.app import label_app
from edge_runtime.labelling.items import Box
from edge_runtime.labelling.journal import Journal
from edge_runtime.labelling.serving import show
from edge_runtime.web.local_access import LocalAccess
from tests.conftest import CHROMIUM

MENTAL, KEY, HOME, BUTTON = 1.35, 0.28, 0.40, 0.10  # seconds, see above
POINT, DRAG = (0.230, 0.166), (0.135, 0.249)  # seconds, and seconds a bit
CORNER = 8.0  # pixels of the screen that a corner of a box is good to
MIDDLE = 400.0  # pixels from where the mouse rests to a box, where nothing better is known


@dataclass(frozen=True)
class Right:
    """What is true of one picture."""

    label: str
    boxes: tuple[Box, ...]


class Hand:
    """Does what a person does at the page, and adds up the seconds that it would take one."""

    def __init__(self, page: Any) -> None:
        self.page, self.seconds, self.at_mouse = page, 0.0, False

    def think(self) -> None:
        """Look, and decide."""
        self.seconds += MENTAL

    def press(self, key: str) -> None:
        """Press a key."""
        self._home(False)
        self.seconds += KEY
        self.page.keyboard.press(key)

    def draw(self, box: Box, others: Sequence[Box]) -> None:
        """Draw a box with the mouse from its top left corner, holding Shift where that lies in one of the others."""
        self._home(True)
        inside = any(x <= box[0] <= x + width and y <= box[1] <= y + height for x, y, width, height in others)
        if inside:
            self.seconds += KEY
            self.page.keyboard.down("Shift")
        start, end = (self._on_screen(*corner) for corner in ((box[0], box[1]), (box[0] + box[2], box[1] + box[3])))
        self.seconds += _fitts(POINT, MIDDLE, CORNER) + BUTTON + _fitts(DRAG, math.dist(start, end), CORNER) + BUTTON
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        mouse.move(*end)
        mouse.up()
        if inside:
            self.page.keyboard.up("Shift")

    def _home(self, to_mouse: bool) -> None:
        if to_mouse != self.at_mouse:
            self.at_mouse = to_mouse
            self.seconds += HOME

    def _on_screen(self, x: float, y: float) -> tuple[float, float]:
        script = "([x, y]) => { const p = new DOMPoint(x, y).matrixTransform("
        found = self.page.evaluate(
            script + "document.getElementById('boxes').getScreenCTM()); return [p.x, p.y]; }", [x, y]
        )
        return found[0], found[1]


def _fitts(law: tuple[float, float], distance: float, width: float) -> float:
    return law[0] + law[1] * math.log2(distance / width + 1)


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0.0, across) * max(0.0, down)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


@dataclass
class Answered:
    """How one way went: seconds of hand and eye, of the page, and what the person took over, picture by picture."""

    hand: list[float]
    page: list[float]
    boxes_taken: int = 0
    boxes_drawn: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return means with 95 % bootstrap intervals."""
        total = np.array(self.hand) + np.array(self.page)
        rng = np.random.default_rng(0)
        means = [float(rng.choice(total, len(total)).mean()) for _ in range(2000)]
        low, high = (float(edge) for edge in np.quantile(means, (0.025, 0.975)))
        return {
            "pictures": len(total),
            "seconds": round(float(total.mean()), 2), "low": round(low, 2), "high": round(high, 2),
            "of_hand_and_eye": round(float(np.mean(self.hand)), 2), "of_the_page": round(float(np.mean(self.page)), 3),
            "boxes_taken": self.boxes_taken, "boxes_drawn": self.boxes_drawn,
        }  # fmt: skip


def play(page: Any, items: SourceItems, truth: Mapping[str, Right], least: float) -> Answered:
    """Label every picture of the page, and return what it took."""
    found = Answered([], [])
    for number, item in enumerate(items.order):
        _wait_for(page, number)
        hand, right = Hand(page), truth[item.id]
        hand.think()
        chosen = page.get_attribute("#choices [aria-checked=true]", "data-label") if _any_chosen(page) else ""
        if chosen != right.label:
            hand.press(str(items.labels.index(right.label) + 1))  # a healthy label is an answer at once
        if right.label in items.faults:
            _box(hand, page, right, least, found)
        if right.label in items.faults or chosen == right.label:
            hand.press("Enter")
        started = time.perf_counter()
        if number + 1 < len(items.order):
            _wait_for(page, number + 1)
        found.page.append(time.perf_counter() - started)
        found.hand.append(hand.seconds)
    return found


def _box(hand: Hand, page: Any, right: Right, least: float, found: Answered) -> None:
    """Check the boxes that the page shows, and draw those that are missing."""
    shown = [tuple(box) for box in page.evaluate(
        "[...document.querySelectorAll('.box .area')]"
        ".map(one => ['x', 'y', 'width', 'height'].map(key => Number(one.getAttribute(key))))"
    )]  # fmt: skip
    missing, kept = list(right.boxes), list[Box]()
    for box in shown:
        hand.think()
        if (best := max(missing, key=lambda one: overlap(one, box), default=None)) and overlap(best, box) >= least:
            missing.remove(best)
            kept.append(box)
            found.boxes_taken += 1
        else:
            hand.press("x")
    for box in missing:
        hand.think()
        hand.draw(box, kept)
        kept.append(box)
        found.boxes_drawn += 1


def _any_chosen(page: Any) -> bool:
    return bool(page.query_selector("#choices [aria-checked=true]"))


def _wait_for(page: Any, number: int) -> None:
    page.wait_for_selector(f'#stage[data-number="{number}"]:not([aria-busy])', timeout=30_000)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option(
    "--pictures", type=click.IntRange(min=2), default=60, show_default=True, help="Half of them with a fault."
)
@click.option("--overlap", "least", type=click.FloatRange(0, 1), default=0.3, show_default=True)
def main(run: Path, out: Path, pictures: int, least: float) -> None:
    """Measure both ways and write OUT/results.json."""
    settings = load_settings(run)
    listed, truth = sampled(settings, RunFolder(run), pictures)
    evaluator = open_evaluator(run / "bundle")
    results = {}
    for way, model in (("without proposals", None), ("with proposals", evaluator)):
        labels = list(evaluator.bundle.manifest.labels)
        items = SourceItems(settings, listed, labels, [name for name in labels if name in settings.data.faults], model)
        results[way] = _measured(items, truth, least, out / way.replace(" ", "-"))
        click.echo(f"{way}: {results[way]}")
    about = {"overlap": least, "played_by": "a script with the keystroke-level model, no person"}
    write_json(out / "results.json", {**about, **results})


def sampled(settings: Settings, run: RunFolder, count: int) -> tuple[Listed, dict[str, Right]]:
    """Return `count` test pictures as if they had no label and no boxes, and what is true of them."""
    rng, truth = np.random.default_rng(0), {}
    tests = [record for record in run.require(DATASET).records if record.split == TEST]
    for fault in (True, False):
        own = [one for one in tests if (one.label in settings.data.faults) == fault and (one.boxes or not fault)]
        if not own:
            raise InputError(
                f"the test set of {run.path} has no pictures {'with boxed' if fault else 'without'} faults"
            )
        for place in rng.choice(len(own), min(len(own), count // 2), replace=False).tolist():
            boxes = tuple((box[0], box[1], box[2], box[3]) for box in own[place].boxes)
            truth[own[place].path] = Right(own[place].label, boxes)
    listed = list_pictures(settings.data)
    bare = [replace(one, label="", drawn=(), others=()) for one in listed.pictures if one.paths[0] in truth]
    return replace(listed, pictures=tuple(bare)), truth


def _measured(items: SourceItems, truth: Mapping[str, Right], least: float, place: Path) -> dict[str, Any]:
    """Serve the page, play the person in a browser, and return the figures."""
    from playwright.sync_api import sync_playwright

    place.mkdir(parents=True, exist_ok=True)
    (place / "labels.jsonl").unlink(missing_ok=True)
    said: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        ready.set()

    with Journal(place / "labels.jsonl") as journal, sync_playwright() as playwright:
        access = LocalAccess("script")
        nothing: Sequence[str] = ()
        app = label_app(items, journal, access, lambda: nothing, "labelling speed")
        server = threading.Thread(target=show, args=(app, access, 0, False, say, stop))
        server.start()
        ready.wait(30)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(said[0].split()[4])
        try:
            return play(page, items, truth, least).to_json()
        finally:
            browser.close()
            stop.set()
            server.join()


if __name__ == "__main__":
    main()
