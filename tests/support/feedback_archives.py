"""Archives of feedback as a station of the given name makes them, and a fleet in which it is enrolled."""

from collections.abc import Sequence
from pathlib import Path

from augment.updates.fleet import Fleet
from edge_runtime.judgements.archive import Example, Sender, build_archive
from edge_runtime.judgements.records import Judgement
from edge_runtime.judgements.store import Entry
from edge_runtime.updates.identity.station_key import open_station_key
from tests.support.judged_events import alarm_document

CREATED = "2026-11-23T07:00:00.000Z"


class FeedbackSite:
    """A station below `folder` that is enrolled in `folder/fleet`."""

    def __init__(self, folder: Path, station: str = "hill") -> None:
        self.folder, self.fleet, self.station = folder, folder / "fleet", station
        self.sender = Sender(station, open_station_key(folder / station / "updates"))
        self.fleet.mkdir(exist_ok=True)
        Fleet(self.fleet).enrol(self.sender.key.public, "all", station)
        self._made = 0

    def archive(
        self,
        entries: Sequence[Judgement | Entry],
        pictures: Sequence[tuple[int, Path]] = (),
        times: Sequence[str] = tuple(f"2026-11-23T{hour:02d}:10:00.000Z" for hour in range(24)),
    ) -> Path:
        """Write an archive of judgements or undos, and of (number of the event, picture); `times` by that number."""
        self._made += 1
        kept = [Entry(one.id, one) if isinstance(one, Judgement) else one for one in entries]
        examples = [Example(f"event-{at}", "alarm", alarm_document(at, time=times[at]), path) for at, path in pictures]
        made = build_archive(self.sender, self._made, CREATED, kept, examples, 8 << 20)
        assert made is not None
        path = self.folder / made.name
        path.write_bytes(made.data)
        return path
