"""What a station has to tell: alarms, heartbeats and samples, each a JSON document with an id and its pictures."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..bundle.decision import Decision, DecisionRule
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from ..clock import Moment
from ..inference.evaluator import Cam
from .event_pictures import annotated_jpeg, clean_jpeg
from .votes import Change

SCHEMA_VERSION = 1
ALARM, HEARTBEAT, SAMPLE = "alarm", "heartbeat", "sample"
KINDS = (ALARM, HEARTBEAT, SAMPLE)  # in the order in which they are sent


@dataclass(frozen=True)
class Record:
    """One thing to keep and to tell. `pictures` are JPEGs by name; `camera` is empty for the station's own.

    `id` names it for ever: who receives it twice can tell by the id.
    """

    id: str
    kind: str
    camera: str
    document: Mapping[str, Any]
    pictures: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """What the model is shown of one camera: `frame` uint8 (H, W, 3) BGR, the whole picture where `region` is empty."""

    camera: str
    frame: Frame
    region: str = ""
    test: bool = False


@dataclass(frozen=True)
class Sight:
    """One evaluated view: what the model saw, what it said, by which rule, and where it looked for each label."""

    view: View
    decision: Decision
    rule: DecisionRule
    cams: Mapping[str, Cam]


class Reporter:
    """Makes the records of one station that runs one bundle."""

    def __init__(self, station: str, bundle: Bundle) -> None:
        self._station = station
        manifest = bundle.manifest
        self._model = {"name": manifest.name, "version": manifest.version, "digest": bundle.digest}

    def alarm(self, sight: Sight, change: Change, moment: Moment) -> Record:
        """The alarm that `change` raised on `sight`, with clean frame and heat map of the raised label."""
        said = self._said(sight, change.label)
        told = f"{said['label']} {said['probability']:.2f} (threshold {said['threshold']:.3g}), "
        told += f"{change.votes} of {change.of} frames"
        view = sight.view
        where = " ".join(name for name in (self._station, view.camera, view.region) if name)
        lines = [f"{'TEST  ' if view.test else ''}{where}  {moment.time} ({moment.clock})", told]
        pictures = {
            "frame": clean_jpeg(view.frame),
            "heatmap": annotated_jpeg(view.frame, sight.cams[change.label], lines),
        }
        return self._record(ALARM, view.camera, moment, {**said, "votes": change.to_json()}, pictures)

    def sample(self, sight: Sight, reason: str, moment: Moment) -> Record:
        """A frame worth learning from, because of `reason`, without anything drawn on it."""
        said = {**self._said(sight, sight.decision.label), "reason": reason}
        said["top"] = [{"label": label, "probability": round(p, 6)} for label, p in sight.decision.top]
        return self._record(SAMPLE, sight.view.camera, moment, said, {"frame": clean_jpeg(sight.view.frame)})

    def heartbeat(self, state: Mapping[str, Any], moment: Moment) -> Record:
        """A sign of life with the `state` of the station."""
        return self._record(HEARTBEAT, "", moment, {"state": dict(state)}, {})

    def _said(self, sight: Sight, label: str) -> dict[str, Any]:
        return {
            **({"region": sight.view.region} if sight.view.region else {}),
            "label": label,
            "probability": round(dict(sight.decision.top)[label], 6),
            "threshold": sight.rule.thresholds.get(label),
            "test": sight.view.test,
        }

    def _record(
        self, kind: str, camera: str, moment: Moment, said: Mapping[str, Any], pictures: Mapping[str, bytes]
    ) -> Record:
        identity = str(uuid.uuid4())
        document = {
            "schema": "rarefault/event",
            "schema_version": SCHEMA_VERSION,
            "id": identity,
            "kind": kind,
            "station": self._station,
            **({"camera": camera} if camera else {}),
            "time": moment.time,
            "clock": moment.clock,
            **said,
            "model": self._model,
        }
        return Record(identity, kind, camera, document, pictures)
