"""Events of a station: alarms, updates, heartbeats, samples, feedback; each a JSON document with id and pictures."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..bundle.decision import Decision, group_json
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from ..causes import Cause
from ..clock import Moment
from ..inference.evaluator import Evaluation
from .event_pictures import annotated_jpeg, clean_jpeg
from .votes import Change

SCHEMA_VERSION = 1
ALARM, UPDATE, HEARTBEAT, SAMPLE, FEEDBACK = "alarm", "update", "heartbeat", "sample", "feedback"
ARCHIVE = "archive"  # of the files of an event of feedback: no picture, the archive itself
NO_MODEL = {"name": "", "version": "", "digest": ""}  # the identity that stands for none
KINDS = (ALARM, UPDATE, HEARTBEAT, SAMPLE, FEEDBACK)  # in the order in which they are sent


@dataclass(frozen=True)
class Record:
    """An event to keep and to send. `pictures` are JPEGs by name, or the archive; `camera` is empty for its own.

    `id` never changes, so a receiver recognises an event that arrives twice.
    """

    id: str
    kind: str
    camera: str
    document: Mapping[str, Any]
    pictures: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgedView:
    """What the model was shown of one camera, and its evaluation.

    `image` is uint8 (H, W, 3) BGR, the whole frame where `region` is empty. `captured` is the frame's time in monotonic
    seconds. `test` marks the frame of a test alarm.
    """

    camera: str
    image: Frame
    evaluation: Evaluation
    captured: float
    region: str = ""
    test: bool = False


def camera_status(cause: Cause | None, problem: str = "", until_by: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a camera's status as topics and heartbeats hold it; `problem` says in a sentence what is misconfigured.

    A misconfigured camera always has one: the advice of the cause, where none is given. `until_by` says until when a
    maintenance is to last, and whose it is.
    """
    if cause is Cause.MISCONFIGURED:
        problem = problem or cause.advice
    status = {"status": "online", "cause": ""} if cause is None else {"status": cause.status, "cause": cause.value}
    return {**status, **({"problem": problem} if problem else {}), **(until_by or {})}


class Reporter:
    """Makes the records of one station that runs one bundle at a time; without one it has no alarms and samples."""

    def __init__(self, station: str, bundle: Bundle | None) -> None:
        self.station, self._model = station, NO_MODEL
        if bundle is not None:
            self.take_over(bundle)

    def take_over(self, bundle: Bundle) -> None:
        """Tell of `bundle` as the model from now on."""
        self._model, self._manifest = bundle.identity(), bundle.manifest

    def alarm(self, view: JudgedView, change: Change, moment: Moment, marks: Mapping[str, Any] | None = None) -> Record:
        """Return the alarm that `change` raised on `view`, with clean frame and heat map of the raised label.

        `marks` say that a person has put the camera under maintenance or snoozed the label.
        """
        verdict = self._verdict(view, change.label)
        caption = f"{verdict['label']} {verdict['probability']:.2f} (threshold {verdict['threshold']:.3g}), "
        caption += f"{change.votes} of {change.of} frames"
        where = " ".join(name for name in (self.station, view.camera, view.region) if name)
        lines = [f"{'TEST  ' if view.test else ''}{where}  {moment.time} ({moment.clock})", caption]
        lines += self._manifest.doubts(change.label)
        pictures = {
            "frame": clean_jpeg(view.image),
            "heatmap": annotated_jpeg(view.image, view.evaluation.cams[change.label], self._manifest, lines),
        }
        content = {**verdict, "votes": change.to_json(), **(marks or {})}
        return self._record(ALARM, view.camera, moment, content, pictures)

    def sample(self, view: JudgedView, reason: str, moment: Moment, marks: Mapping[str, Any] | None = None) -> Record:
        """Return a frame worth learning from, because of `reason`, without anything drawn on it; `marks` as of alarms.

        A technician's ladder is in a frame that was taken under maintenance.
        """
        decision = _decision(view)
        content = {**self._verdict(view, decision.label), **(marks or {}), "reason": reason}
        content["top"] = [{"label": label, "probability": round(p, 6)} for label, p in decision.top]
        return self._record(SAMPLE, view.camera, moment, content, {"frame": clean_jpeg(view.image)})

    def heartbeat(self, state: Mapping[str, Any], moment: Moment) -> Record:
        """Return a sign of life with the `state` of the station."""
        return self._record(HEARTBEAT, "", moment, {"state": dict(state)}, {})

    def update(self, content: Mapping[str, Any], moment: Moment, identity: str) -> Record:
        """Return what became of an update of the model; `identity` is the same whenever this one is told."""
        return self._record(UPDATE, "", moment, {"update": dict(content)}, {}, identity)

    def feedback(self, content: Mapping[str, Any], archive: bytes, moment: Moment, identity: str) -> Record:
        """Return the event that carries a feedback archive; `content` says what is in it."""
        return self._record(FEEDBACK, "", moment, {"feedback": dict(content)}, {ARCHIVE: archive}, identity)

    def _verdict(self, view: JudgedView, label: str) -> dict[str, Any]:
        return {
            **({"region": view.region} if view.region else {}),
            "label": label,
            "probability": round(_decision(view).chances[label], 6),
            "threshold": view.evaluation.rule.thresholds.get(label),
            **self._evidence(_decision(view), label),
            "test": view.test,
        }

    def _evidence(self, decision: Decision, label: str) -> dict[str, Any]:
        """Return what a spatial head tells besides: the group, and how far map and score are evidence for `label`."""
        if decision.group is None:
            return {}
        return {
            "group": group_json(decision),
            "evidence": self._manifest.head.evidence,
            "supported": self._manifest.supported.get(label),
            "doubts": self._manifest.doubts(label),
        }

    def _record(
        self,
        kind: str,
        camera: str,
        moment: Moment,
        content: Mapping[str, Any],
        pictures: Mapping[str, bytes],
        identity: str = "",
    ) -> Record:
        identity = identity or str(uuid.uuid4())
        document = {
            "schema": "rarefault/event",
            "schema_version": SCHEMA_VERSION,
            "id": identity,
            "kind": kind,
            "station": self.station,
            **({"camera": camera} if camera else {}),
            **asdict(moment),
            **content,
            "model": self._model,
        }
        return Record(identity, kind, camera, document, pictures)


def _decision(view: JudgedView) -> Decision:
    if view.evaluation.decision is None:
        raise ValueError(f"a view of {view.camera} without a decision is no event")
    return view.evaluation.decision
