"""Pictures that persons at stations judged, as `rarefault feedback` leaves them in RUN/feedback for the dataset stage.

    RUN/feedback/records.json     a `FeedbackDocument`
    RUN/feedback/pictures/        the pictures, named by their SHA-256
    RUN/feedback/unlabelled/      hard examples that nobody has judged, for `rarefault label`

They only ever stand on the training side.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from augment.data.boxes import DrawnBox
from augment.data.layouts.listing import Candidate, Source
from augment.json_objects import JsonObject, from_json, write_json
from augment.record_types import LeftOut
from edge_runtime.bundle.errors import InputError

FEEDBACK = "feedback"  # origin of the records, first part of their paths, and name of the folder in a run
PICTURES, UNLABELLED, RECORDS = "pictures", "unlabelled", "records.json"
SCHEMA, SCHEMA_VERSION = "rarefault/feedback-records", 1


class FeedbackRecord(JsonObject):
    """One judged picture to learn from; `id` is the station and the event."""

    id: str
    path: str  # of a dataset record: feedback/SHA256.jpg
    label: str  # what the judges say that it shows
    boxes: Sequence[Sequence[float]] | None = None  # x, y, width, height as fractions; None: nobody drew any
    group: str  # its burst: pictures of one camera within minutes
    station: str
    camera: str
    event: str
    captured: str  # ISO 8601, UTC
    judges: Sequence[str]  # who said so; all agree
    verdict: str  # right, wrong or other
    model: str  # digest of the bundle that raised the alarm
    model_label: str
    probability: float  # of the model's label


class JudgedPrecision(JsonObject):
    """How many of the judged alarms of a camera, label and ISO week were right, with Wilson's interval of 95 %."""

    station: str
    camera: str
    label: str
    week: str
    right: int
    wrong: int
    value: float
    low: float
    high: float


class Disagreement(JsonObject):
    """An event on which judges say different things; `said` has by judge what each of them says."""

    station: str
    event: str
    camera: str
    label: str  # of the model
    said: Mapping[str, str]


class FeedbackSummary(JsonObject):
    """What has come from stations, and what became of it."""

    archives: int
    judged: int  # events with a valid judgement
    verdicts: Mapping[str, int]  # of the events on which all judges agree
    labels: Mapping[str, int]  # of the records
    left_out: Sequence[LeftOut]  # judged events that are no records, and why
    unlabelled: int  # hard examples that nobody has judged
    disagreements: Sequence[Disagreement]
    corrected: Mapping[str, Mapping[str, int]]  # label of the model -> label of the judges -> events, where they differ
    precision: Sequence[JudgedPrecision]


class FeedbackDocument(JsonObject):
    """RUN/feedback/records.json."""

    records: Sequence[FeedbackRecord]
    summary: FeedbackSummary


def read_feedback(folder: Path) -> FeedbackDocument | None:
    """Return what `rarefault feedback` has left in RUN/feedback; None where there is nothing. InputError if damaged."""
    path = folder / RECORDS
    try:
        content = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA or content["schema_version"] > SCHEMA_VERSION:
            raise ValueError("it is of another kind")
        return from_json(FeedbackDocument, {key: content[key] for key in ("records", "summary")})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no feedback ({error}); run `rarefault feedback` on its archives again") from error


def write_feedback(folder: Path, document: FeedbackDocument) -> None:
    """Write records.json whole or not at all."""
    write_json(folder / RECORDS, {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **vars(document)})


def with_feedback(source: Source, folder: str) -> Source:
    """Return `source` with the judged pictures of RUN/feedback as candidates; `folder` is empty where there are none.

    A record whose class the source does not have is left to a problem of its own.
    """
    document = read_feedback(Path(folder)) if folder else None
    if document is None:
        return source
    judged = [_candidate(record) for record in document.records if record.label in source.classes]
    lost = [record for record in document.records if record.label not in source.classes]
    notes = (
        [f"{len(lost)} judged pictures show {lost[0].label}, which is no class of the source any more"] if lost else []
    )
    return replace(
        source,
        candidates=(*source.candidates, *judged),
        feedback=Path(folder) / PICTURES,
        notes=(*source.notes, *notes),
    )


def _candidate(record: FeedbackRecord) -> Candidate:
    boxes = None
    if record.boxes is not None:
        where = f"{FEEDBACK}/{RECORDS}, event {record.event}"
        boxes = tuple(DrawnBox(x, y, width, height, where, fractions=True) for x, y, width, height in record.boxes)
    return Candidate(record.path, record.label, record.group, None, boxes, origin=FEEDBACK)
