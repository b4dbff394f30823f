"""The command `rarefault label`: a page on which a person gives labels and boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.bundle.errors import InputError
from edge_runtime.cli_errors import Command
from edge_runtime.text_files import printable

if TYPE_CHECKING:
    from augment.labelling.items import SourceItems
    from augment.labelling.pictures import Listed
    from augment.settings import Settings
    from edge_runtime.inference.evaluator import Evaluator
    from edge_runtime.labelling.app import Finish
    from edge_runtime.labelling.journal import Given, Journal

folder = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command(cls=Command)
@click.argument("data", metavar="DATA")
@click.option("--bundle", type=folder, help="A bundle that proposes labels and boxes.")
@click.option("--run", "run", type=folder, help="A run folder: its settings, what its trainings doubt, and its bundle.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The manifest. Default: DATA-labels.csv.")
@click.option("--export", "exports", type=click.Choice(["coco", "yolo"]), multiple=True, help="Also write boxes so.")
@click.option("--fault", "faults", multiple=True, help="A label that is a fault; repeat for several.")
@click.option("--label", "more", multiple=True, help="A label that no picture bears yet; repeat for several.")
@click.option("--boxes", default="", help="Boxes that exist already: a folder or COCO file.")
@click.option("--levels", default="", help="What the levels of folders name; see `rarefault init`.")
@click.option("--who", default="", help="Who gives the answers. Default: your login name.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page. Default: any free one.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@click.option("--write-only", is_flag=True, help="Write the results of the answers so far, and show no page.")
def label(
    data: str, bundle: Path | None, run: Path | None, out: Path | None, exports: tuple[str, ...],
    faults: tuple[str, ...], more: tuple[str, ...], boxes: str, levels: str, who: str, port: int, no_browser: bool,
    write_only: bool,
) -> None:  # fmt: skip
    """Label the pictures in DATA in a browser: those first whose answer helps most. No picture is touched.

    DATA is what --data of `rarefault init` takes, or a folder of pictures without labels. Answers are kept in a journal
    beside the manifest at once; the same command goes on where you stopped. The manifest is a source for
    `rarefault init --data`.
    """
    from augment.labelling.exports import manifest_file
    from augment.labelling.pictures import list_pictures
    from edge_runtime.labelling.journal import Journal

    settings = _settings(data, run, faults, boxes, levels)
    listed = list_pictures(settings.data)
    manifest = manifest_file(out or default_manifest(settings.data.source, listed.root), listed.root)
    evaluator = _evaluator(bundle, run)
    items = _items(settings, listed, evaluator, more)
    with Journal(manifest.with_suffix(".jsonl")) as journal:

        def finish() -> list[str]:
            said = write_results(items, listed, journal.current(), manifest, exports)
            for sentence in said:
                click.echo(printable(sentence))  # the terminal keeps what the page shows for a moment
            return said

        if not write_only:
            _look_at_all(items, settings, listed, run, manifest)
            _show_page(items, journal, finish, who, port, not no_browser)
        finish()


def default_manifest(source: str, root: Path) -> Path:
    """Return the file beside the data that the answers of `source` make a manifest in."""
    path = Path(source).expanduser().resolve()
    if path.is_file():
        return path.with_name(f"{path.stem.removesuffix('-labels')}-labels.csv")
    return root.resolve().parent / f"{root.resolve().name}-labels.csv"


def _settings(data: str, run: Path | None, faults: tuple[str, ...], boxes: str, levels: str) -> "Settings":
    from augment.settings import Settings, load_settings

    settings = load_settings(run) if run else Settings()
    known = settings.data
    section = replace(
        known,
        source=data,
        layout="auto",
        boxes=boxes or known.boxes,
        levels=levels or known.levels,
        faults=faults or known.faults,
    )
    if wrong := section.contradictions():
        raise InputError("; ".join(wrong))
    return replace(settings, data=section)


def _evaluator(bundle: Path | None, run: Path | None) -> "Evaluator | None":
    """Return the model that proposes: the bundle that was given, else that of the run, where there is one."""
    own = run / "bundle" if run and (run / "bundle" / "manifest.json").is_file() else None
    place = bundle or own
    return open_evaluator(place) if place else None


def open_evaluator(bundle: Path) -> "Evaluator":
    """Return the verified bundle on the best engine that is here."""
    from edge_runtime.bundle.store import open_bundle
    from edge_runtime.inference.engines import open_engine
    from edge_runtime.inference.evaluator import Evaluator

    opened = open_bundle(bundle)
    return Evaluator(opened, open_engine(opened, "auto", "auto").engine)


def _items(settings: "Settings", listed: "Listed", evaluator: "Evaluator | None", more: Sequence[str]) -> "SourceItems":
    """Return the items with all labels that model, data and options name; InputError where there is none."""
    from augment.labelling.items import SourceItems

    of_model = evaluator.bundle.manifest.labels if evaluator else ()
    labels = list(dict.fromkeys([*of_model, *listed.classes, *more]))
    if not labels:
        raise InputError(f"{listed.root} has no labels yet; name those that can be given: --label rust --label sound")
    marked = {*settings.data.faults, *(evaluator.bundle.manifest.fault_labels if evaluator else ())}
    if strange := marked - set(labels):
        raise InputError(
            f"the fault {sorted(strange)[0]} is none of the labels {', '.join(labels)}; check its spelling"
        )
    return SourceItems(settings, listed, labels, [name for name in labels if name in marked], evaluator)


def _look_at_all(
    items: "SourceItems", settings: "Settings", listed: "Listed", run: Path | None, manifest: Path
) -> None:
    from augment.labelling.pictures import Looks
    from augment.models.image_embedding import Fingerprints
    from augment.models.model_folders import pick_device
    from augment.records import RunFolder

    own = RunFolder(run) if run else RunFolder(manifest.with_suffix(".cache"))
    looks = Looks(settings, listed, Fingerprints(settings, own, pick_device(settings.device)))
    for reason in looks.unread.values():
        click.echo(f"cannot be read: {printable(reason)}", err=True)
    items.look_at_all(looks, run)


def _show_page(items: "SourceItems", journal: "Journal", finish: "Finish", who: str, port: int, browser: bool) -> None:
    from edge_runtime.labelling.app import label_app
    from edge_runtime.labelling.serving import show
    from edge_runtime.web.local_access import LocalAccess

    access = LocalAccess(who)
    app = label_app(items, journal, access, finish, "rarefault label")
    show(app, access, port, browser, lambda line: click.echo(line, err=True))


def write_results(
    items: "SourceItems", listed: "Listed", given: "Mapping[str, Given]", manifest: Path, exports: Sequence[str]
) -> list[str]:
    """Write the manifest, and boxes in the formats `exports`; return sentences on what was written."""
    from augment.labelling.exports import outcome, write_coco, write_manifest, write_yolo

    boxes, sizes = items.stated_boxes(every=bool(exports))
    found = outcome(listed.known(boxes), listed.of_copies(given))
    write_manifest(manifest, listed.root, found.rows)
    answered = sum(bool(row.who) for row in found.rows)
    left_out = "".join(f", {count} {reason.replace('_', ' ')}" for reason, count in found.left_out.items())
    said = [f"{manifest} written: {len(found.rows)} pictures, {answered} of them answered by a person{left_out}"]
    rows = [row for row in found.rows if row.path in sizes]
    for shape in exports:
        if shape == "coco":
            place = manifest.with_suffix(".coco.json")
            write_coco(place, rows, sizes)
        else:
            place = manifest.with_suffix(".yolo")
            write_yolo(place, rows, sizes)
        said.append(f"{place} written: {sum(len(row.boxes) for row in rows)} boxes of {len(rows)} pictures")
    return said


COMMANDS = (label,)
