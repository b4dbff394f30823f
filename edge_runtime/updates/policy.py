"""Whether a new bundle fits what this station has set, and what of the settings and of running votes does not survive.

Thresholds of [decision] go by label, votes by kind of fault. Both go on where the new bundle knows the same name.
"""

from collections.abc import Iterable, Iterator, Sequence

from ..alerts.settings import DecisionSection
from ..bundle.decision import Rule
from ..bundle.errors import InputError
from ..bundle.heads import BOXES
from ..bundle.manifest import Manifest
from ..bundle.store import Bundle
from .errors import Reason, UpdateRefused
from .settings import UpdatesSection


def check_policy(
    bundle: Bundle,
    serving: Bundle | None,
    updates: UpdatesSection,
    decision: DecisionSection | None = None,
    cameras: Sequence[str] = (),
) -> list[str]:
    """Return, each in a sentence, what of the station's decisions changes or ends when `bundle` takes over.

    Raises UpdateRefused where a threshold of a camera is for no fault of the new bundle, where a label means something
    else than it did, or where heat maps must be evidence and are not.
    """
    new, old = bundle.manifest, serving.manifest if serving else None
    decision = decision or DecisionSection()
    if updates.require_evidence and new.head.evidence != BOXES:
        raise UpdateRefused(
            Reason.POLICY,
            f"the heat maps of {new.name} {new.version} are no evidence, and require_evidence is set in [updates]",
        )
    for camera in cameras:
        try:
            decision.rule(camera, new.decision)
        except InputError as error:
            raise UpdateRefused(Reason.POLICY, f"decision of {camera}: {error}") from error
    if old is None:
        return []
    _check_meaning(old, new)
    return [*_labels(old, new), *_thresholds(old, new, decision, cameras), *_inputs(old, new)]


def _check_meaning(old: Manifest, new: Manifest) -> None:
    """Refuse a label that was a fault and is none now, or the reverse: alarms would come, or stay away, unasked."""
    for label in [label for label in old.labels if label in new.labels]:
        was, now = (label in manifest.fault_labels for manifest in (old, new))
        if was != now:
            names = {True: "a fault", False: "healthy"}
            raise UpdateRefused(Reason.POLICY, f"{label} was {names[was]} and is {names[now]} in the new bundle")


def _labels(old: Manifest, new: Manifest) -> Iterator[str]:
    if gone := [label for label in old.fault_labels if label not in new.fault_labels]:
        yield f"no longer told, and their alarms end: {', '.join(gone)}"
    if added := [label for label in new.fault_labels if label not in old.fault_labels]:
        yield f"told from now on, by the bundle's own thresholds: {', '.join(added)}"
    if lost := sorted(_kinds(old.decision) - _kinds(new.decision)):
        yield f"votes for these kinds of fault are lost: {', '.join(lost)}"


def _kinds(rule: Rule) -> set[str]:
    return {rule.kind(label) for label in rule.fault_labels}


def _thresholds(old: Manifest, new: Manifest, decision: DecisionSection, cameras: Sequence[str]) -> Iterator[str]:
    """Yield which thresholds stay as the station set them, and which follow the bundle to another value."""
    own = {camera: _own_thresholds(decision, camera) for camera in cameras}
    kept = sorted({label for thresholds in own.values() for label in thresholds})
    if kept:
        yield (
            f"the station's own thresholds stay and were set for the bundle before; look at their alarms again: "
            f"{', '.join(kept)}"
        )
    for label in _common(old.fault_labels, new.fault_labels):
        before, after = old.decision.thresholds[label], new.decision.thresholds[label]
        if before != after and any(label not in thresholds for thresholds in own.values()):
            yield f"the threshold of {label} is the bundle's own and goes from {before:.3g} to {after:.3g}"


def _own_thresholds(decision: DecisionSection, camera: str) -> set[str]:
    of_camera = decision.camera.get(camera)
    return {*decision.thresholds, *(of_camera.thresholds if of_camera else ())}


def _common(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return [label for label in first if label in set(second)]


def _inputs(old: Manifest, new: Manifest) -> Iterator[str]:
    if old.input.radiometric and not new.input.radiometric:
        yield "files and frames of measured values are refused from now on: the new bundle has no rule for them"
