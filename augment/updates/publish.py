"""What a bundle must show before it is offered to stations, each check the one that a station makes as well."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from augment.updates.repository import Repository
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import check_truths, golden_pictures, load_golden
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.bundle.store import MANIFEST, Bundle
from edge_runtime.inference.engines import Engine, load_engine
from edge_runtime.updates.content_check import check_content
from edge_runtime.updates.policy import check_policy
from edge_runtime.updates.proof import prove
from edge_runtime.updates.settings import UpdatesSection
from edge_runtime.updates.trusted_repository import Release

ENGINE = "cpu"  # ONNX Runtime's, which every station has

Compare = Callable[[Bundle, Bundle], list[str]]
"""The serving bundle, the new one -> in sentences where the new one is worse on the same test set."""


@dataclass(frozen=True)
class Published:
    """A release, and in `notes` what stations will notice of it, each in a sentence."""

    release: Release
    notes: tuple[str, ...]


def publish(
    repository: Repository, folder: Path, group: str, forced: str | None = None, compare: Compare | None = None
) -> Published:
    """Check the bundle in `folder` and let `repository` offer it to `group`; the caller commits.

    InputError (UpdateRefused among them) where files, golden frames in any packed precision, labels or policy do not
    hold, which nothing can force, or where it is worse than the serving bundle, or was not compared with it, and no
    reason to force it is given.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds no {MANIFEST} and is no bundle; that of a run is RUN/bundle")
    bundle = check_content(folder)
    prove(bundle, None, engine=ENGINE)
    with tempfile.TemporaryDirectory() as place:
        serving = serving_bundle(repository, Path(place))
        if serving is not None and serving.digest == bundle.digest:
            serving = None  # there is nothing to compare: it is offered again, or to another group
        policy = UpdatesSection(require_evidence=repository.about.require_evidence)
        notes = check_policy(bundle, serving, policy, cameras=("any camera",))
        if serving is not None:
            check_same_labels(bundle, serving)
            if forced is None:
                _check_better(bundle, serving, compare)
    return Published(repository.release(repository.add_bundle(folder), group, forced), tuple(notes))


def serving_bundle(repository: Repository, into: Path) -> Bundle | None:
    """Copy the bundle that most stations are offered into the empty folder `into`: the one of the last group."""
    releases = repository.releases()
    last = [releases[group] for group in repository.about.groups if group in releases][-1:]
    return repository.copy_bundle(last[0].bundle, into) if last else None


def check_same_labels(bundle: Bundle, serving: Bundle) -> None:
    """Raise InputError where labels that both bundles have were exchanged, by the serving bundle's golden pictures.

    Each picture is shown to the new bundle; its true label is what a person called it, else what the serving bundle
    called it when it was packed.
    """
    golden, labels = load_golden(serving), bundle.manifest.labels
    engine, truths, told = load_engine(bundle, ENGINE, bundle.manifest.precisions[0]), [], []
    for picture, label, truth in zip(golden_pictures(serving), golden.labels, golden.truths, strict=True):
        if (called := truth or label) in labels:
            truths.append(called)
            told.append(_told(bundle, engine, picture))
    try:
        check_truths(replace(golden, labels=tuple(told), truths=tuple(truths)), bundle.manifest.fault_labels)
    except InputError as error:
        raise InputError(f"on the golden pictures of the serving bundle {serving.digest[:12]}: {error}") from error


def _told(bundle: Bundle, engine: Engine, picture: Frame) -> str:
    """Return what the bundle calls a picture, blank ones as well: golden frames are often flat."""
    head = bundle.manifest.head
    scores = head.scores(engine.run(bundle.manifest.input.views(picture)))
    return bundle.manifest.rule(engine.precision).decide(head.join_tiles(scores[None])[0]).label


def _check_better(bundle: Bundle, serving: Bundle, compare: Compare | None) -> None:
    names = [f"{one.manifest.name} {one.manifest.version} ({one.digest[:12]})" for one in (bundle, serving)]
    if compare is None:
        raise InputError(
            f"{names[0]} was not compared with {names[1]}, which most stations are offered; give the run whose test "
            "pictures both are shown with --run, or publish it with --force REASON"
        )
    if worse := compare(serving, bundle):
        raise InputError(
            f"{names[0]} is worse than {names[1]}, which most stations are offered: {'; '.join(worse)}; train again, "
            "or publish it with --force REASON"
        )
