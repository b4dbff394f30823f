"""`manifest.json`: what a bundle is, what it decides, and the digest of every file in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .decision import DecisionRule
from .errors import InputError
from .preprocess import PreprocessSpec

FORMAT_VERSION = "1.1"  # 1.1: a rule for each precision, metrics of each on the test set
PRECISIONS = ("fp32", "fp16", "int8")

_KNOWN = (
    *("format_version", "name", "version", "created", "labels", "fault_labels", "input", "decision"),
    *("precisions", "opset", "metrics", "lineage", "files"),
)
T = TypeVar("T")


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle: hex SHA-256 and size in bytes."""

    sha256: str
    bytes: int


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
    decision: DecisionRule
    precisions: tuple[str, ...]
    opset: int
    metrics: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    rules: Mapping[str, DecisionRule] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    format_version: str = FORMAT_VERSION

    def __post_init__(self) -> None:
        _check_format(self.format_version)
        if not self.precisions or any(precision not in PRECISIONS for precision in self.precisions):
            raise InputError(f"the precisions are {list(self.precisions)}, expected some of {list(PRECISIONS)}")

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label, in the order of the model's outputs."""
        return self.decision.labels

    @property
    def fault_labels(self) -> tuple[str, ...]:
        """The labels that count as faults and may be flagged."""
        return self.decision.fault_labels

    def rule(self, precision: str) -> DecisionRule:
        """Return the decision rule for logits of that precision."""
        return self.rules.get(precision, self.decision)

    def to_json(self) -> dict[str, Any]:
        """Return the whole document, unknown fields included."""
        rules = {precision: rule.to_json() for precision, rule in self.rules.items()}
        return {
            "format_version": self.format_version,
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "labels": list(self.labels),
            "fault_labels": list(self.fault_labels),
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
        labels, faults = _names(data, "labels"), _names(data, "fault_labels")
        decision = _field(data, "decision", dict)
        return cls(
            name=_field(data, "name", str),
            version=_field(data, "version", str),
            created=_field(data, "created", str),
            input=PreprocessSpec.from_json(_field(data, "input", dict)),
            decision=DecisionRule.from_json(decision, labels, faults),
            precisions=_names(data, "precisions"),
            opset=_field(data, "opset", int),
            metrics=_field(data, "metrics", dict),
            lineage=_field(data, "lineage", dict),
            files={path: _entry(path, entry) for path, entry in _field(data, "files", dict).items()},
            rules=_rules(decision.get("precisions", {}), labels, faults),
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
    if seen.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise InputError(
            f"the bundle has format_version {seen}, this rarefault reads {FORMAT_VERSION.split('.')[0]}.x; "
            "install the rarefault version that made it, or pack the bundle again"
        )


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


def _rules(rules: object, labels: tuple[str, ...], faults: tuple[str, ...]) -> dict[str, DecisionRule]:
    if not isinstance(rules, dict) or not all(isinstance(rule, dict) for rule in rules.values()):
        raise InputError(f"the manifest's decision for each precision is {rules!r}, expected objects; pack it again")
    return {precision: DecisionRule.from_json(rule, labels, faults) for precision, rule in rules.items()}


def _entry(path: str, data: object) -> FileEntry:
    if not isinstance(data, dict):
        raise InputError(
            f"the manifest's entry for {path} is {data!r}, expected sha256 and bytes; pack the bundle again"
        )
    return FileEntry(_field(data, "sha256", str), _field(data, "bytes", int))
