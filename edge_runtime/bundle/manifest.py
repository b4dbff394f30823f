"""`manifest.json`: what a bundle is, what it decides, and the digest of every file in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .decision import Rule, rule_from_json
from .errors import InputError
from .heads import PICTURES, Head, head_from_json
from .preprocess import LETTERBOX, PreprocessSpec

FORMAT_VERSION = "2.0"  # 2.0: heads, letterbox and tiles, and what a bundle requires of its reader
CAPABILITIES = ("class-head", "spatial-head", LETTERBOX, "tiles", "radiometric")
PRECISIONS = ("fp32", "fp16", "int8")

_KNOWN = (
    *(
        "format_version",
        "requires",
        "name",
        "version",
        "created",
        "labels",
        "fault_labels",
        "head",
        "input",
        "decision",
    ),
    *("precisions", "opset", "metrics", "lineage", "files"),
)
T = TypeVar("T")


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle: hex SHA-256 and size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class SmallestFault:
    """The smallest size of fault that is shown to be seen: `pixels` of the shorter side, on the canvas of the input.

    `share` is the same of the shorter side of the frames that it was measured on, `recall` the share of faults of about
    this size that are found, and `cell` the side in pixels of one cell of the map. All but `pixels` may be unknown.
    """

    pixels: float
    share: float | None = None
    recall: float | None = None
    cell: float | None = None


@dataclass(frozen=True)
class Manifest:
    """The whole of `manifest.json`.

    `created` is a label, not a clock to compare with. `rules` are those of precisions whose probabilities were fitted
    anew; the others follow `decision`. `extra` keeps fields that this version does not know, so that
    reading and writing again loses nothing. `files` is keyed by POSIX path relative to the bundle's folder.
    """

    name: str
    version: str
    created: str
    input: PreprocessSpec
    decision: Rule
    precisions: tuple[str, ...]
    opset: int
    metrics: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    format_version: str = FORMAT_VERSION

    def __post_init__(self) -> None:
        _check_format(self.format_version)
        if not self.precisions or any(precision not in PRECISIONS for precision in self.precisions):
            raise InputError(f"the precisions are {list(self.precisions)}, expected some of {list(PRECISIONS)}")
        if self.input.tiles != (1, 1) and self.head.evidence is None:
            raise InputError("the manifest has tiles and the class head, which has one view a frame; pack it again")

    @property
    def head(self) -> Head:
        """What the model gives out."""
        return self.decision.head

    @property
    def requires(self) -> tuple[str, ...]:
        """What a reader must be capable of, out of CAPABILITIES."""
        letterbox = (LETTERBOX,) if self.input.resize == LETTERBOX else ()
        tiles = ("tiles",) if self.input.tiles != (1, 1) else ()
        return (self.head.capability, *letterbox, *tiles, *(("radiometric",) if self.input.radiometric else ()))

    @property
    def supported(self) -> dict[str, bool]:
        """Whether the score of a fault label was shown to rest on the fault, for every label that was tested."""
        return {label: found["supported"] for label, found in self.metrics.get("support", {}).items()}

    def doubts(self, label: str) -> list[str]:
        """Return what is to be doubted of the map and the score of `label`, each in a sentence."""
        doubts = ["the map is not evidence: it was trained without boxes"] if self.head.evidence == PICTURES else []
        if not self.supported.get(label, True):
            doubts.append(self.metrics["support"][label]["why"])
        return doubts

    @property
    def smallest_fault(self) -> SmallestFault | None:
        """The smallest fault that can be seen, where validation told it."""
        found = self.metrics.get("smallest_fault")
        return found and SmallestFault(found["pixels"], *(found.get(key) for key in ("share", "recall", "cell")))

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label, in the order of the model's outputs."""
        return self.decision.labels

    @property
    def fault_labels(self) -> tuple[str, ...]:
        """The labels that count as faults and may be flagged."""
        return self.decision.fault_labels

    def rule(self, precision: str) -> Rule:
        """Return the decision rule for scores of that precision."""
        return self.rules.get(precision, self.decision)

    def to_json(self) -> dict[str, Any]:
        """Return the whole document, unknown fields included."""
        rules = {precision: rule.to_json() for precision, rule in self.rules.items()}
        return {
            "format_version": self.format_version,
            "requires": list(self.requires),
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "labels": list(self.labels),
            "fault_labels": list(self.fault_labels),
            "head": self.head.to_json(),
            "input": self.input.to_json(),
            "decision": {**self.decision.to_json(), "precisions": rules},
            "precisions": list(self.precisions),
            "opset": self.opset,
            "metrics": dict(self.metrics),
            "lineage": dict(self.lineage),
            "files": {path: {"sha256": e.sha256, "bytes": e.bytes} for path, e in sorted(self.files.items())},
            **self.extra,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Manifest":
        """Read what `to_json` wrote; InputError says which field is missing or unusable."""
        _check_format(_field(data, "format_version", str))  # first: another format may differ in every other field
        _check_requires(_names(data, "requires"))
        labels, faults = _names(data, "labels"), _names(data, "fault_labels")
        head = head_from_json(_field(data, "head", dict), labels)
        decision = _field(data, "decision", dict)
        metrics = _field(data, "metrics", dict)
        _check_metrics(metrics)
        return cls(
            name=_field(data, "name", str),
            version=_field(data, "version", str),
            created=_field(data, "created", str),
            input=PreprocessSpec.from_json(_field(data, "input", dict)),
            decision=rule_from_json(decision, head, labels, faults),
            precisions=_names(data, "precisions"),
            opset=_field(data, "opset", int),
            metrics=metrics,
            lineage=_field(data, "lineage", dict),
            files={path: _entry(path, entry) for path, entry in _field(data, "files", dict).items()},
            rules=_rules(decision.get("precisions", {}), head, labels, faults),
            extra={key: value for key, value in data.items() if key not in _KNOWN},
            format_version=data["format_version"],
        )


def model_file(variant: str) -> str:
    """Return the name of the ONNX file of a precision, or of a variant of one, relative to the bundle's folder."""
    return f"model.{variant}.onnx"


def precision_of(variant: str) -> str:
    """Return the precision of a variant: `int8` of `int8.trt`, the INT8 file that TensorRT reads."""
    return variant.partition(".")[0]


def _check_format(seen: str) -> None:
    major = seen.partition(".")[0]
    if major == "1":
        raise InputError(
            f"the bundle has format_version {seen}, this rarefault reads {FORMAT_VERSION.partition('.')[0]}.x; pack it "
            "again from its checkpoint with `rarefault export PIPELINE.toml`, or use the rarefault version that made it"
        )
    if major != FORMAT_VERSION.partition(".")[0]:
        raise InputError(
            f"the bundle has format_version {seen}, this rarefault reads {FORMAT_VERSION.partition('.')[0]}.x; "
            "install the rarefault version that made it, or pack the bundle again"
        )


def _check_requires(names: tuple[str, ...]) -> None:
    if unknown := [name for name in names if name not in CAPABILITIES]:
        raise InputError(
            f"the bundle requires {', '.join(unknown)}, this rarefault is capable of {', '.join(CAPABILITIES)}; "
            "upgrade rarefault"
        )


def _check_metrics(metrics: Mapping[str, Any]) -> None:
    """Raise InputError where what the edge reads of the metrics is unusable; the rest is kept as it is."""
    support, smallest = metrics.get("support", {}), metrics.get("smallest_fault")
    fine = isinstance(support, dict) and all(
        isinstance(found, dict) and isinstance(found.get("supported"), bool) and isinstance(found.get("why"), str)
        for found in support.values()
    )
    if not fine:
        raise InputError(f"the manifest's metrics.support is {support!r}, expected supported and why for each label")
    if smallest is not None and not (isinstance(smallest, dict) and isinstance(smallest.get("pixels"), (int, float))):
        raise InputError(f"the manifest's metrics.smallest_fault is {smallest!r}, expected null or a number of pixels")


def _field(data: Mapping[str, Any], key: str, kind: type[T]) -> T:
    if key not in data:
        raise InputError(f"the manifest has no {key!r}; the bundle is damaged, copy or pack it again")
    value = data[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"the manifest's {key!r} is {value!r}, expected {kind.__name__}; pack the bundle again")
    return value


def _names(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = _field(data, key, list)
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"the manifest's {key!r} is {names!r}, expected a list of names; pack the bundle again")
    return tuple(names)


def _rules(rules: object, head: Head, labels: tuple[str, ...], faults: tuple[str, ...]) -> dict[str, Rule]:
    if not isinstance(rules, dict) or not all(isinstance(rule, dict) for rule in rules.values()):
        raise InputError(f"the manifest's decision for each precision is {rules!r}, expected objects; pack it again")
    return {precision: rule_from_json(rule, head, labels, faults) for precision, rule in rules.items()}


def _entry(path: str, data: object) -> FileEntry:
    if not isinstance(data, dict):
        raise InputError(
            f"the manifest's entry for {path} is {data!r}, expected sha256 and bytes; pack the bundle again"
        )
    return FileEntry(_field(data, "sha256", str), _field(data, "bytes", int))
