"""The archives of a station: what waits to leave, into files or into the outbox."""

import contextlib
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ...alerts.events import ARCHIVE, FEEDBACK, SAMPLE, Reporter
from ...alerts.outbox import Entry, Outbox
from ...bundle.errors import InputError, RarefaultError, UnavailableError, os_errors_as
from ...bundle.files import make_folder, replace_file, sha256_bytes
from ...cameras.settings import plan_cameras
from ...clock import Clock, iso
from ...judgements.archive import FOLDER, Archive, Example, Sender, build_archive
from ...judgements.store import Judgements, picture_subject
from ...updates.identity.station_key import open_station_key
from ...updates.state import UPDATES
from ..open_outbox import open_outbox
from ..settings import StationSettings

NAMESPACE = uuid.UUID("c0b7c2a1-54a3-4c1e-8a61-3b8f3a1d6e55")  # of the ids of events of feedback
PAGE = 50  # samples read at once
GONE = Path("gone")  # a file that does not exist

log = logging.getLogger(__name__)


class Feedback:
    """Makes the archives of one station from its outbox and its judgements."""

    def __init__(self, settings: StationSettings, outbox: Outbox, judgements: Judgements) -> None:
        self._settings, self._outbox, self._judgements = settings, outbox, judgements

    def next_archive(self, sender: Sender, most: int) -> Archive | None:
        """Return the next archive of at most `most` bytes; None where nothing waits to leave."""
        entries = self._judgements.waiting()
        number = self._judgements.archives() + 1
        return build_archive(sender, number, iso(time.time()), entries, self._examples(), most)

    def note(self, archive: Archive) -> None:
        """Note that what is in the archive has left, and tell which pictures cannot."""
        for event, reason in archive.unusable.items():
            log.warning("the picture of event %s cannot leave: %s", event, reason)
        self._judgements.note_departed(archive.name, archive.subjects)

    def _examples(self) -> Iterator[Example]:
        """Yield what may leave: the frames of judged alarms, then hard examples, each oldest first."""
        for event in self._judgements.waiting_pictures():
            entry = self._outbox.find(event)
            if entry is None or not _frame(entry).exists():
                self._judgements.note_departed("", [picture_subject(event)])
            else:
                yield Example(event, entry.kind, entry.document, _frame(entry))
        if self._settings.samples.send:  # they travel by themselves
            return
        after = 0
        while page := self._outbox.oldest(SAMPLE, after, PAGE):
            after = page[-1].seq
            gone = self._judgements.departed([picture_subject(entry.id) for entry in page])
            for entry in page:
                if picture_subject(entry.id) not in gone and _frame(entry).exists():
                    yield Example(entry.id, entry.kind, entry.document, _frame(entry))


def _frame(entry: Entry) -> Path:
    """Return the clean frame's file, which may be gone: for room, or by `retention_days`."""
    return entry.pictures.get("frame", GONE)


def _kept(outbox: Outbox) -> list[Entry]:
    """Return the entries of archives whose file is still there. They are the newest: the next one waits for them."""
    return [entry for entry in outbox.recent(FEEDBACK) if entry.pictures.get(ARCHIVE, GONE).exists()]


def secrets_of(settings: StationSettings) -> tuple[str, ...]:
    """Return every secret that the settings lead to, as far as they can be read."""
    found = [secret for plan in plan_cameras(settings.camera) if plan.address for secret in plan.address.secrets]
    for read in (settings.mqtt and settings.mqtt.password, settings.webhook and settings.webhook.secret):
        with contextlib.suppress(RarefaultError):
            found += [secret] if read and (secret := read()) else []
    return tuple(found)


@contextlib.contextmanager
def opened(settings: StationSettings) -> Iterator[tuple[Feedback, Outbox, Sender]]:
    """Yield what makes the station's archives, its outbox, and who it is."""
    state_dir = settings.station.state_dir
    sender = Sender(settings.station.name, open_station_key(state_dir / UPDATES), secrets_of(settings))
    with closing(open_outbox(settings)) as outbox, closing(Judgements(state_dir)) as judgements:
        yield Feedback(settings, outbox, judgements), outbox, sender


def write_archives(settings: StationSettings, folder: Path) -> list[Path]:
    """Put all that waits into FOLDER/feedback/, in as many archives as it takes; return their paths.

    Archives that wait for a sink come along: whoever gets one twice takes it once. UnavailableError where the folder
    cannot be written.
    """
    target, written = folder / FOLDER, []
    with (
        opened(settings) as (feedback, outbox, sender),
        os_errors_as(UnavailableError, f"{target} cannot be written", "check the stick, and whether it is read-only"),
    ):
        make_folder(target)
        if target.is_symlink():
            raise UnavailableError(f"{target} is a link, which may lead off the stick; remove it")
        for entry in _kept(outbox):
            written.append(target / entry.document["feedback"]["name"])
            replace_file(written[-1], entry.pictures[ARCHIVE].read_bytes())
        while (archive := feedback.next_archive(sender, settings.feedback.bytes)) is not None:
            written.append(target / archive.name)
            replace_file(written[-1], archive.data)
            feedback.note(archive)
    return written


def hand_over(settings: StationSettings) -> Archive | None:
    """Put one archive into the outbox, which brings it to every sink; None where nothing is there, or one waits still.

    InputError where the station has no sink, UnavailableError where the disk does not take it.
    """
    if settings.mqtt is None and settings.webhook is None:
        raise InputError("the station has no [mqtt] and no [webhook] to send to; write files with --out FOLDER")
    with opened(settings) as (feedback, outbox, sender):
        if _kept(outbox):
            return None
        archive = feedback.next_archive(sender, settings.feedback.send_bytes)
        if archive is None:
            return None
        content = {"name": archive.name, "bytes": len(archive.data), "sha256": sha256_bytes(archive.data)}
        content |= {"entries": archive.entries, "pictures": archive.pictures, "left": archive.left}
        identity = str(uuid.uuid5(NAMESPACE, archive.name))
        outbox.commit(Reporter(settings.station.name, None).feedback(content, archive.data, Clock().read(), identity))
        feedback.note(archive)
        return archive
