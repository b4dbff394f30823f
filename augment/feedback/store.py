"""RUN/feedback: everything that has come from stations, each thing once, whoever brings it how often.

received.json     archives, entries and examples
pictures/         of what was judged, named by their SHA-256
    unlabelled/       the same of hard examples that nobody has judged, for `rarefault label`
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from augment.data.feedback import PICTURES, UNLABELLED
from augment.feedback.archive_reader import ReceivedArchive
from augment.json_objects import write_json
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import make_folder, replace_file
from edge_runtime.judgements.records import Judgement, read_judgement

RECEIVED = "received.json"
SCHEMA, SCHEMA_VERSION = "rarefault/feedback-received", 1
SEPARATOR = " "  # between station and id; names of stations have none


class ReceivedFeedback:
    """What has been received. One command at a time writes it."""

    def __init__(self, folder: Path) -> None:
        """Read what is in `folder`, RUN/feedback; InputError where that is damaged."""
        self.folder = folder
        self.archives: dict[str, dict[str, Any]] = {}  # by SHA-256
        self.entries: dict[str, dict[str, Any]] = {}  # by station and id
        self.examples: dict[str, dict[str, Any]] = {}  # by station and event
        path = folder / RECEIVED
        if not path.exists():
            return
        try:
            content = json.loads(path.read_bytes())
            if content["schema"] != SCHEMA or content["schema_version"] > SCHEMA_VERSION:
                raise ValueError("it is of another kind")
            self.archives, self.entries = content["archives"], content["entries"]
            self.examples = content["examples"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} cannot be read ({error!r}); restore it, or remove it and take all again"
            ) from error

    def take(self, archive: ReceivedArchive) -> Counter[str]:
        """Add what is new and return how many `entries` and `examples` that were; pictures are on disk first."""
        new = Counter[str]()
        for example in archive.examples:
            key = archive.station + SEPARATOR + example["event"]
            if key not in self.examples:
                target = self.folder / UNLABELLED / example["file"].rpartition("/")[2]
                make_folder(target.parent)
                replace_file(target, archive.pictures[example["file"]])
                self.examples[key] = {**example, "station": archive.station}
                new["examples"] += 1
        for entry in archive.entries:
            key = archive.station + SEPARATOR + entry["id"]
            if key not in self.entries:
                self.entries[key] = {**entry, "station": archive.station}
                new["entries"] += 1
        about = {"station": archive.station, "number": archive.number, "created": archive.created}
        self.archives.setdefault(archive.digest, about)
        return new

    def write(self) -> None:
        """Put the list of what was received on disk."""
        make_folder(self.folder)
        content = {"archives": self.archives, "entries": self.entries, "examples": self.examples}
        write_json(self.folder / RECEIVED, {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **content})

    def picture(self, key: str) -> Path:
        """Return where the picture of a judged example lies; it is moved there from the unlabelled ones."""
        name = str(self.examples[key]["file"]).rpartition("/")[2]
        waiting, target = self.folder / UNLABELLED / name, self.folder / PICTURES / name
        if waiting.exists():
            make_folder(target.parent)
            waiting.replace(target)
        return target

    def judgements(self) -> dict[str, list[Judgement]]:
        """Return by station and event what each judge last said and has not taken back, oldest first."""
        undone = {
            entry["station"] + SEPARATOR + entry["undoes"] for entry in self.entries.values() if "undoes" in entry
        }
        valid = [
            (entry["station"], read_judgement(entry))
            for key, entry in self.entries.items()
            if "undoes" not in entry and key not in undone
        ]
        found: dict[str, dict[str, Judgement]] = {}
        for station, judgement in sorted(valid, key=lambda pair: pair[1].time):
            said = found.setdefault(station + SEPARATOR + judgement.event, {})
            said.pop(judgement.judge, None)
            said[judgement.judge] = judgement
        return {event: list(said.values()) for event, said in sorted(found.items())}
