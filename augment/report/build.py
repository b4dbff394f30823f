"""The report: one self-contained page about a run, written from its documents, for people who were not there."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from jinja2 import Environment, StrictUndefined

from augment.data.image_store import ImageStore
from augment.evaluation.learning_curve import ENOUGH, MORE_THAN, PHOTOGRAPH, TOO_FEW
from augment.evaluation.tables import METRIC_NAMES, measured, percent, points
from augment.records import STAGES, Document, Record, RunFolder
from augment.report import figures, sentences
from augment.report.page import PAGE
from augment.settings import load_settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file, sha256_file
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import read_image
from edge_runtime.media.jpeg import encode_jpeg

SAMPLES_PER_CLASS = 4  # of each kind
THUMBNAIL = 96  # pixels of the longer side
FEW_IMAGES = 30  # test images of a class below which its recall says little: one image is more than 3 points
FEW_SEEDS = 3
MINUTES_PER_IMAGE = 5.0  # an assumption, and the page says so
SHEET_WIDTH = 768  # pixels


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of a row names it, and is marked as a fault class if it stands in `marked`."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Sequence[str] = ()


def write_report(folder: RunFolder, minutes_per_image: float = MINUTES_PER_IMAGE) -> Path:
    """Write RUN/report/index.html and RUN/report/figures/*.png; returns the page's path.

    `minutes_per_image` is what finding, taking and labelling one picture is taken to cost.
    Raises InputError where a stage's document is missing, export apart, or `minutes_per_image` is not above zero.
    """
    if not minutes_per_image > 0:
        raise InputError(f"the minutes per image are {minutes_per_image:g}; give how long one picture takes, as 5")
    documents = {stage: folder.require(stage) for stage in STAGES if stage != "export"}
    if (export := folder.latest("export")) is not None:
        documents["export"] = export
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(PAGE).render(**_content(folder, documents, minutes_per_image))
    path = folder.stage("report") / "index.html"
    replace_file(path, page.encode())
    return path


def _content(folder: RunFolder, documents: Mapping[str, Document], minutes_per_image: float) -> dict[str, Any]:
    summary, curation = documents["comparison"].summary, documents["curation"]
    curve = curation.summary.get("learning_curve")
    packed = _packed(documents)
    learnt = next(r["images"] for r in documents["training"].records if r["arm"] == summary["candidate"])
    return {
        "title": f"rarefault report of {folder.path.resolve().name}",
        "verdict": summary["verdict"],
        "headline": sentences.HEADLINES[summary["verdict"]],
        "answers": sentences.answers(summary, documents["training"].records),
        "next_steps": sentences.next_steps(summary, curve, packed and packed["arm"]),
        "changes": sentences.class_changes(summary),
        "gate": sentences.gate_sentences(summary),
        "photograph": curve and _photograph(curve, summary["fault_labels"]),
        "hours": sentences.hours(sum(learnt["synthetic"].values()), minutes_per_image),
        "arms": _arms(documents["training"], summary),
        "differences": _differences(summary),
        "classes": _classes(summary),
        "figures": {name: _figure(folder, name, *entry) for name, *entry in _figures(folder, documents)},
        "samples": _samples(folder, documents),
        "curation": _curation(folder, curation),
        "data": _data(documents["dataset"], summary["fault_labels"]),
        "limits": limits(documents),
        "stages": _stages(documents),
        "models": _models(documents),
        "packed": packed,
        "bundle": _bundle(folder),
        "settings": [
            {"stage": stage, "text": json.dumps(dict(document.settings), indent=2, ensure_ascii=False)}
            for stage, document in documents.items()
        ],
    }


# Tables


def _photograph(curve: Mapping[str, Any], faults: Sequence[str]) -> Table:
    """How many more real images each class needs, from the learning curve."""
    says = {
        ENOUGH: lambda found: "none",
        PHOTOGRAPH: lambda found: f"about {found['photograph']}",
        MORE_THAN: lambda found: f"more than {found['photograph']}: look for another view of it",
        TOO_FEW: lambda found: "too few to say; any new one helps",
    }
    rows = [
        [label, says[found["says"]](found), str(found["now"]), _share(found["recall"][-1])]
        for label, found in curve["classes"].items()
    ]
    caption = f"Pictures to take so that {100 * curve['recall_target']:g} of 100 of each class are found."
    return Table(caption, ["class", "photograph", "training images now", "recall now"], rows, faults)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.0f} %"


def _arms(training: Document, summary: Mapping[str, Any]) -> Table:
    rows, metrics = [], measured(summary)
    for arm, found in summary["arms"].items():
        images = next(record["images"] for record in training.records if record["arm"] == arm)
        cells = [f"{percent(found['metrics'][metric])}{_spread(found['metrics'][metric])}" for metric in metrics]
        rows.append([arm, *(str(sum(images[kind].values())) for kind in ("real", "synthetic")), *cells])
    caption = f"Mean over the seeds, with its {100 * summary['confidence']:g} % interval and spread between seeds."
    return Table(
        caption, ["arm", "real images", "generated images", *(METRIC_NAMES[metric] for metric in metrics)], rows
    )


def _spread(metric: Mapping[str, Any]) -> str:
    return "" if metric["std"] is None else f", ±{100 * metric['std']:.1f}"


def _packed(documents: Mapping[str, Document]) -> dict[str, Any] | None:
    """The exported training, and how its thresholds did on the validation images."""
    if "export" not in documents:
        return None
    summary = documents["export"].summary
    rows = [
        [label, f"{found['threshold']:.2f}", str(found["positives"]), *_flagged(found)]
        for label, found in summary.get("thresholds", {}).items()
    ]
    head = ["fault", "flagged from", "validation images", "found", "false alarms in 100 other pictures"]
    caption = "Thresholds, and what they do on the validation images that they were chosen on."
    arm, _, seed = summary["training"].rpartition("/seed-")
    return {"arm": arm, "seed": seed, "table": Table(caption, head, rows)}


def _flagged(found: Mapping[str, Any]) -> list[str]:
    """Recall and false alarms of a threshold with their bounds; few images make wide ones."""
    alarms = "unknown" if found["false_alarms"] is None else f"{found['false_alarms']:.1f}"
    return [
        f"{_share(found['recall'])} (at least {_share(found['recall_bound'])})",
        f"{alarms} (at most {found['false_alarms_bound']:.1f})",
    ]


def _differences(summary: Mapping[str, Any]) -> Table:
    rows, metrics = [], measured(summary)
    for arm, found in summary["differences"].items():
        cells = [points(found["metrics"][metric]) for metric in metrics]
        test = found["mcnemar"]
        mcnemar = f"p = {test['p_holm']:.3g} ({test['only_arm_right']} against {test['only_baseline_right']} images)"
        rows.append([f"{arm} − {summary['baseline']}", *cells, mcnemar, found["verdict"]])
    caption = (
        "Differences to the baseline on the same resamples. McNemar: images that only the first or only the baseline "
        "has right, by the averaged probabilities of the seeds; p by Holm's method for all rows together."
    )
    return Table(
        caption,
        [
            "difference",
            *(METRIC_NAMES[metric] for metric in metrics),
            "McNemar",
            f"verdict on {METRIC_NAMES[summary['metric']]}",
        ],
        rows,
    )


def _classes(summary: Mapping[str, Any]) -> Table:
    others = list(summary["differences"])
    rows = []
    for label in summary["labels"]:
        counts = summary["test"]["per_class"][label]
        recalls = [summary["arms"][arm]["recall"][label] for arm in summary["arms"]]
        changes = [summary["differences"][arm]["recall"][label] for arm in others]
        cells = [percent(recall) if recall else "no image" for recall in recalls]
        cells += [points(change) if change else "no image" for change in changes]
        rows.append([label, str(counts["images"]), str(counts["groups"]), *cells])
    head = ["class", "test images", "groups", *(f"recall, {arm}" for arm in summary["arms"])]
    head += [f"{arm} − {summary['baseline']}" for arm in others]
    return Table("Recall per class on the test set.", head, rows, summary["fault_labels"])


# Pictures


def _figures(folder: RunFolder, documents: Mapping[str, Document]) -> Iterator[tuple[str, bytes, str, str]]:
    """(name, PNG, what it is, what can be seen in it)"""
    summary = documents["comparison"].summary
    arms = [summary["baseline"], summary["candidate"]]
    if curve := documents["curation"].summary.get("learning_curve"):
        title = "Recall of each class by the number of its real training images; dashed: the recall aimed at."
        yield "learning-curve", figures.learning_curves(curve), title, sentences.learning_curves(curve)
    for arm in arms:
        title = f"Confusion matrix of {arm}: each row is a true class, each column a label that was given."
        yield (
            f"confusion-{arm}",
            figures.confusion_matrix(summary, arm),
            title,
            sentences.confusion_matrix(summary, arm),
        )
    title = "How often the likeliest label is right, by its probability; dashed: what the probability promises."
    yield "reliability", figures.reliability(summary, arms), title, sentences.reliability(summary, arms)
    yield "recall", figures.recall_bars(summary), "Recall on the test set.", sentences.recall_bars(summary)
    histories: dict[str, list[Any]] = {}
    for record in documents["training"].records:
        path = folder.path / record["path"] / "history.json"
        if path.exists():
            histories.setdefault(record["arm"], []).append(json.loads(path.read_bytes()))
    if histories:
        title = "Macro F1 on the validation images during training, one line per training."
        yield "validation", figures.validation_curves(histories), title, sentences.validation_curves(histories)


def _figure(folder: RunFolder, name: str, png: bytes, title: str, seen: str) -> dict[str, str]:
    place = folder.stage("report") / "figures"
    place.mkdir(exist_ok=True)
    replace_file(place / f"{name}.png", png)
    return {"uri": _uri("image/png", png), "title": title, "seen": seen}


def _samples(folder: RunFolder, documents: Mapping[str, Document]) -> list[dict[str, Any]]:
    store = ImageStore(load_settings(folder.path))
    real = [record for record in documents["dataset"].records if record["split"] == "train"]
    kept = [record for record in documents["curation"].records if record["kept"]]

    def opened(record: Record) -> Frame:
        return read_image(folder.path / record["path"]).frame

    return [
        {
            "label": label,
            "kinds": [
                (kind, _thumbnails(kind, records, label, frame))
                for kind, records, frame in (("real", real, store.frame), ("generated", kept, opened))
            ],
        }
        for label in documents["training"].summary["labels"]
    ]


def _thumbnails(kind: str, records: Sequence[Record], label: str, opened: Any) -> list[dict[str, str]]:
    """The first images of a class by id; one that is gone (the page may be made elsewhere) is left out."""
    of_label = sorted((record for record in records if record["label"] == label), key=lambda record: record["id"])
    thumbnails = []
    for record in of_label[:SAMPLES_PER_CLASS]:
        try:
            thumbnails.append({"uri": _thumbnail(opened(record)), "text": f"{kind} picture of {label}, {record['id']}"})
        except InputError:
            continue
    return thumbnails


def _thumbnail(frame: Frame) -> str:
    scale = min(1.0, THUMBNAIL / max(frame.shape[:2]))
    size = [max(1, round(side * scale)) for side in frame.shape[1::-1]]
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return _uri("image/jpeg", encode_jpeg(small, 85))


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


# What went in


def _curation(folder: RunFolder, curation: Document) -> dict[str, Any]:
    kept = sum(record["kept"] for record in curation.records)
    reasons = curation.summary["rejected"]
    rows = [[reason, str(count)] for reason, count in reasons.items()]
    return {
        "sentence": f"{kept} of {len(curation.records)} generated images were kept. An image may have several reasons.",
        "table": Table("Rejected by reason.", ["reason", "images"], rows),
        "sheets": [
            {
                "title": f"{sheet['images']} {sheet['kind']} pictures of {sheet['label']}",
                "uri": _sheet(folder.path / sheet["path"]),
            }
            for sheet in curation.summary.get("sheets", ())
            if (folder.path / sheet["path"]).exists()
        ],
    }


def _sheet(path: Path) -> str:
    frame = read_image(path).frame
    scale = min(1.0, SHEET_WIDTH / frame.shape[1])
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return _uri("image/jpeg", encode_jpeg(small, 70))


def _data(dataset: Document, faults: Sequence[str]) -> dict[str, Any]:
    summary = dataset.summary
    rows = [
        [label, *(str(counts[side]) for side in ("train", "val", "test"))]
        for label, counts in summary["classes"].items()
    ]
    sentence = (
        f"{summary['images']} images in {summary['groups']} groups (duplicates and bursts of one thing stay together); "
        f"{summary['perceptual_pairs']} pairs of perceptual duplicates, {summary['straddling_pairs']} of them on two "
        f"sides of the split; {summary['exact_copies']} exact copies left out."
    )
    listings = [
        {"name": name, "rows": summary[key]}
        for name, key in (("Quarantined", "quarantined"), ("Left out", "dropped"), ("Ignored", "ignored"))
        if summary[key]
    ]
    table = Table("Real images per class.", ["class", "training", "validation", "test"], rows, faults)
    return {"sentence": sentence, "table": table, "listings": listings}


def limits(documents: Mapping[str, Document]) -> list[str]:
    """What the numbers do not show, as far as the documents know it."""
    summary, training = documents["comparison"].summary, documents["training"]
    found = [*documents["dataset"].summary["hints"]]
    embedded = sorted({name for _, name, _ in _model_rows(documents) if name.startswith("mini/")})
    if embedded:
        found.append(
            f"The models {', '.join(embedded)} are the small embedded ones: they show that the loop works, not what "
            "full-size models reach."
        )
    if training.models["initial_weights"]["source"] == "none":
        found.append("The classifiers were trained from scratch; ImageNet weights usually help all arms.")
    counts = {label: entry["images"] for label, entry in summary["test"]["per_class"].items()}
    few = [f"{label} ({count})" for label, count in counts.items() if count < FEW_IMAGES]
    if few:
        found.append(f"Few test images, so wide intervals: {', '.join(few)}.")
    seeds = min(entry["seeds"] for entry in summary["arms"].values())
    if seeds < FEW_SEEDS:
        found.append(f"Only {seeds} training{'s' * (seeds > 1)} per arm: the spread between seeds is a guess.")
    for record in training.records:
        lacking = [label for label in summary["labels"] if not sum(kind[label] for kind in record["images"].values())]
        if lacking and record["seed"] == 0:
            found.append(f"Arm {record['arm']} has no training image of: {', '.join(lacking)}.")
    return [
        *found,
        f"Intervals come from {summary['resamples']} resamples of groups of test images and of seeds. McNemar's test "
        "takes images for independent, so bursts make its p too small. Only the verdict's own metric was chosen "
        "beforehand; the other numbers are many looks at one test set.",
    ]


# Where it comes from


def _stages(documents: Mapping[str, Document]) -> Table:
    rows = [
        [stage, f"v{document.version:04d}", document.created, str(len(document.records)), document.digest]
        for stage, document in documents.items()
    ]
    return Table("Documents.", ["stage", "version", "created", "records", "digest"], rows)


def _bundle(folder: RunFolder) -> Table | None:
    """Files of the exported bundle with their digests."""
    manifest = folder.path / "bundle" / "manifest.json"
    if not manifest.exists():
        return None
    rows = [["manifest.json", sha256_file(manifest)]]
    rows += [[name, entry["sha256"]] for name, entry in json.loads(manifest.read_bytes())["files"].items()]
    return Table("Files of the bundle.", ["file", "SHA-256"], [row for row in rows if not row[0].startswith("golden/")])


def _models(documents: Mapping[str, Document]) -> Table:
    rows = [[role, name, identity] for role, name, identity in _model_rows(documents)]
    return Table("Models.", ["role", "name", "digest or revision"], rows)


def _model_rows(documents: Mapping[str, Document]) -> list[tuple[str, str, str]]:
    """(role, name, digest or revision) of every model that a document names."""
    rows = []
    for document in documents.values():
        for role, identity in document.models.items():
            if isinstance(identity, str):
                rows.append((role, "", identity))
                continue
            name = identity.get("name") or identity.get("source", "")
            rows.append((role, name, identity.get("sha256") or identity.get("revision", "")))
    return list(dict.fromkeys(rows))
