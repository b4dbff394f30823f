"""`edge-classify review FOLDER`: a technician judges what the model said of pictures; the answers leave for central.

The pictures are shown on the labelling page, those first of which the model is least sure. What is answered becomes a
feedback archive, signed by this laptop's own key.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..bundle.errors import InputError, UnavailableError, os_errors_as
from ..bundle.files import make_folder, replace_file, sha256_bytes, sha256_file
from ..bundle.heads import SpatialHead
from ..bundle.manifest import Manifest
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from ..cli_errors import Command
from ..clock import iso
from ..inference.evaluator import Evaluator
from ..judgements.archive import Example, Sender, build_archive
from ..judgements.records import Judgement, Verdict, read_judgement
from ..judgements.store import Judgements, picture_subject
from ..labelling.items import JUDGE, Item, Look
from ..labelling.journal import LABEL, SOMETHING_ELSE, Given, Journal
from ..labelling.proposals import judged_look
from ..media.image_files import read_image
from ..updates.identity.station_key import PUBLIC_FILE, open_station_key
from ..updates.state import UPDATES
from .inputs import InputFile, Inputs
from .opening import open_evaluator, settle_process
from .results import Result
from .runner import BatchRunner
from .update import user_state_dir

if TYPE_CHECKING:
    from ..labelling.app import Finish

ARCHIVE_BYTES = 8 << 20  # of one archive; what finds no room goes into the next
ROLE = "technician"


@dataclass(frozen=True)
class Seen:
    """One picture with what the model said of it; `event` stands for its content, wherever the file lies."""

    path: Path
    event: str
    captured: str
    label: str
    probability: float
    threshold: float | None
    doubt: float  # how far the probability is from where the verdict would change


@dataclass
class ReviewItems:
    """The pictures of a folder, those first of which the model is least sure, for the labelling page."""

    folder: Path
    evaluator: Evaluator
    seen: dict[str, Seen]
    order: list[Item] = field(default_factory=list)

    def __post_init__(self) -> None:
        ranked = sorted(self.seen.items(), key=lambda one: (one[1].doubt, one[0]))
        self.order = [Item(name, one.label, JUDGE, "", one.probability) for name, one in ranked]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the bundle."""
        return self.evaluator.bundle.manifest.labels

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults among them."""
        return self.evaluator.bundle.manifest.fault_labels

    def picture(self, item: Item) -> Frame:
        """Read the picture alone."""
        return read_image(self.seen[item.id].path, radiometric=self.evaluator.bundle.manifest.input.radiometric).frame

    def look(self, item: Item) -> Look:
        """Read the picture and judge it as it was classified, maybe decoded at a part of its size, with its maps."""
        frame, manifest = self.picture(item), self.evaluator.bundle.manifest
        evaluation = self.evaluator.evaluate(read_image(self.seen[item.id].path, manifest.input).frame)
        return judged_look(frame, (), evaluation, manifest)


@click.command("review", cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--bundle", type=click.Path(path_type=Path), envvar="RAREFAULT_BUNDLE", help="Folder of the bundle.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where archives go. Default: beside it.")
@click.option("--who", default="", help="Who judges. Default: your login name.")
@click.option("--station", default="", help="The name that central enrolled this laptop by. Default: its host name.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page. Default: any free one.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
def review(
    folder: Path, bundle: Path | None, out: Path | None, who: str, station: str, port: int, no_browser: bool
) -> None:
    """Classify the pictures in FOLDER, judge the results in a browser, and write a signed archive for central.

    Answers are kept beside FOLDER at once, and the same command goes on where you stopped. No picture is touched.
    """
    try:
        from ..labelling.app import label_app
        from ..labelling.serving import show
        from ..web.local_access import LocalAccess
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the page needs the package {error.name}; install rarefault with the extra field"
        ) from error

    settle_process()
    evaluator = open_evaluator(bundle)
    folder = folder.resolve()
    items = ReviewItems(folder, evaluator, classified(folder, evaluator, lambda line: click.echo(line, err=True)))
    if not items.order:
        raise InputError(f"{folder} holds no picture that could be judged; edge-classify {folder} tells why")
    place = (out or folder.parent).resolve()
    with Journal(place / f"{folder.name}-review.jsonl") as journal:
        finish = _finish(items, journal, place, station or socket.gethostname(), click.echo)
        access = LocalAccess(who)
        app = label_app(items, journal, access, finish, "edge-classify review")
        show(app, access, port, not no_browser, lambda line: click.echo(line, err=True))
        finish()


def classified(folder: Path, evaluator: Evaluator, say: Callable[[str], None]) -> dict[str, Seen]:
    """Judge every still picture below `folder`; return what the model said by the path from there."""
    left_out = 0

    def pictures() -> Iterable[InputFile]:
        nonlocal left_out
        for item in Inputs([folder]):
            if item.reason is None and not item.is_video:
                yield item
            else:
                left_out += 1

    found: dict[str, Seen] = {}
    for result in BatchRunner(evaluator).run(pictures()):
        # A name may hold bytes that are no text: a page and a journal can hold neither.
        name = os.fsencode(result.path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")
        if name not in found and (seen := _seen(result)) is not None:
            found[name] = seen
        elif name not in found:
            left_out += 1
    if left_out:
        say(f"{left_out} inputs are films or could not be judged; edge-classify {folder} tells which")
    return found


def _seen(result: Result) -> Seen | None:
    decision = result.evaluation.decision if result.evaluation else None
    if decision is None:
        return None
    chances = {label: chance for label, chance in decision.top if label != decision.label}
    doubt = decision.probability - max(chances.values(), default=0.0)
    if decision.threshold is not None:
        doubt = decision.probability - decision.threshold
    captured = iso(result.path.stat().st_mtime)
    event = f"picture-{sha256_file(result.path)[:32]}"
    return Seen(result.path, event, captured, decision.label, decision.probability, decision.threshold, abs(doubt))


def judgement_of(seen: Seen, given: Given, bundle: Bundle) -> Judgement:
    """Return what an answer says of the model's verdict; InputError where it can be no judgement."""
    answer = given.answer
    shown = "".join(char if char.isprintable() else " " for char in answer.note)  # a paste brings what a store refuses
    verdict, true_label, note = Verdict.UNSURE, "", " ".join(shown.split())
    if answer.answer == LABEL:
        verdict = verdict_of(seen.label, answer.label, bundle.manifest)
        true_label = answer.label if verdict is Verdict.OTHER else ""
    elif answer.answer == SOMETHING_ELSE and note not in ("", seen.label):
        verdict, true_label, note = Verdict.OTHER, note, ""  # a word of the person's own
    elif answer.answer == SOMETHING_ELSE:
        note = "something else, not said what"
    shares = [
        [x / answer.width, y / answer.height, width / answer.width, height / answer.height]
        for x, y, width, height in answer.boxes
    ]
    content: Mapping[str, object] = {
        "event": seen.event,
        "label": seen.label,
        "verdict": verdict.value,
        "true_label": true_label,
        "boxes": shares,
        "judge": given.who,
        "role": ROLE,
        "time": given.when,
        "captured": seen.captured,
        "model": bundle.digest,
        "probability": seen.probability,
        "note": note,
    }
    digest = sha256_bytes(json.dumps(content, sort_keys=True).encode())  # the same answer is the same judgement
    return read_judgement({**content, "id": f"review-{digest[:32]}"})


def verdict_of(said: str, answered: str, manifest: Manifest) -> Verdict:
    """Return whether the model's label is right, wrong (there is no fault), or another class is."""
    if said == answered:
        return Verdict.RIGHT
    healthy = [label for label in manifest.labels if label not in manifest.fault_labels]
    head = manifest.head
    if isinstance(head, SpatialHead):
        healthy = [group.healthy for group in head.groups if said in group.faults.values()]
    return Verdict.WRONG if said in manifest.fault_labels and healthy == [answered] else Verdict.OTHER


def _finish(items: ReviewItems, journal: Journal, place: Path, station: str, say: Callable[[str], None]) -> "Finish":
    """Return what hands in the answers so far and says on the terminal too where they are, which stays to be read."""

    def finish() -> Sequence[str]:
        state_dir = user_state_dir()
        make_folder(state_dir / UPDATES)
        store = Judgements(state_dir)
        try:
            _note(items, journal.current(), store)
            said = write_archives(items, store, Sender(station, open_station_key(state_dir / UPDATES)), place)
            for sentence in said:
                say(sentence)
            return said
        finally:
            store.close()

    return finish


def _note(items: ReviewItems, given: Mapping[str, Given], store: Judgements) -> None:
    """Add to the store what was answered since the last time."""
    known = store.latest([seen.event for seen in items.seen.values()])
    for name, one in given.items():
        if (seen := items.seen.get(name)) is None:
            continue
        made = judgement_of(seen, one, items.evaluator.bundle)
        before = known.get(seen.event)
        if before is None or (before.said, before.boxes, before.judge) != (made.said, made.boxes, made.judge):
            store.add(made)


def write_archives(items: ReviewItems, store: Judgements, sender: Sender, place: Path) -> list[str]:
    """Write archives until nothing waits to leave; return sentences on what was written."""
    by_event = {seen.event: (name, seen) for name, seen in items.seen.items()}
    identity = items.evaluator.bundle.identity()
    said: list[str] = []
    make_folder(place)
    while True:
        waiting = [event for event in store.waiting_pictures() if event in by_event]
        examples = [_example(event, *by_event[event], identity) for event in waiting]
        # What was said of the pictures of another folder leaves with those.
        entries = [entry for entry in store.waiting() if entry.judgement and entry.judgement.event in by_event]
        archive = build_archive(sender, store.archives() + 1, iso(time.time()), entries, examples, ARCHIVE_BYTES)
        if archive is None:
            break
        path = place / archive.name
        with os_errors_as(InputError, f"{path} cannot be written", "choose another --out"):
            replace_file(path, archive.data)
        gone = [picture_subject(event) for event in archive.unusable]
        store.note_departed(archive.name, [*archive.subjects, *gone])
        said.append(f"{path} written: {archive.entries} judgements and {archive.pictures} pictures")
        said += [f"left out: {reason}" for reason in archive.unusable.values()]
    key = user_state_dir() / UPDATES / PUBLIC_FILE
    if not said:
        return ["nothing new to hand in"]
    return [*said, f"hand it to the central team, the first time with {key}, by which they enrol {sender.station}"]


def _example(event: str, name: str, seen: Seen, model: Mapping[str, str]) -> Example:
    document = {
        "time": seen.captured,
        "label": seen.label,
        "probability": round(seen.probability, 6),
        "threshold": seen.threshold,
        "model": dict(model),
        "name": name,
    }
    return Example(event, "picture", document, seen.path)
