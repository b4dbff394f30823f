"""The report: one self-contained page about a run, written from its documents, for people who were not there."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from markupsafe import Markup
from matplotlib.figure import Figure

from augment import record_types as types
from augment.data.feedback import FEEDBACK, read_feedback
from augment.data.image_store import ImageStore, resize_by_area
from augment.data.split import SIDES, TRAIN
from augment.evaluation.learning_curve import ENOUGH, MORE_THAN, PHOTOGRAPH, TOO_FEW
from augment.evaluation.tables import METRIC_NAMES, measured, percent, points
from augment.json_objects import from_json
from augment.records import COMPARISON, CURATION, DATASET, EXPORT, STAGES, TRAINING, Document, RunFolder
from augment.report import contact_sheets, figures, sentences, spots
from augment.report.arm_names import meanings
from augment.report.feedback import feedback
from augment.report.figure_style import as_svg
from augment.report.pages import render
from augment.report.stations import NO_BUNDLE, for_stations
from augment.report.table import Bar, Table, bar
from augment.settings import load_settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file, sha256_file
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import read_image
from edge_runtime.media.jpeg import encode_jpeg

TEMPLATE = "page.html.j2"
SAMPLES_PER_CLASS = 4  # of each kind
THUMBNAIL = 96  # pixels of the longer side
FEW_IMAGES = 30  # test images of a class below which its recall says little: one image is more than 3 points
FEW_SEEDS = 3
MINUTES_PER_IMAGE = 5.0  # an assumption, and the page says so
# Sections in the order of the page, and what stands above them.
TITLES = {
    "verdict": "Verdict",
    "stations": "What it means for the stations",
    "feedback": "What people at the stations said",
    "changes": "Which faults gained or lost",
    "spots": "Does it see the fault?",
    "mending": "Which pictures to mend",
    "photograph": "What to photograph next",
    "confusion": "What is taken for what",
    "recall": "Recall of each class",
    "reliability": "Can its probabilities be believed?",
    "samples": "Real and generated pictures",
    "curation": "What curation kept and rejected",
    "data": "Data",
    "limits": "Limits",
    "provenance": "Provenance and settings",
}
MAY_LACK = ("feedback", "spots", "mending", "photograph")  # sections that are left out where a run has nothing for them
Image = TypeVar("Image", types.DatasetRecord, types.CurationRecord)


class Documents:
    """The newest document of each stage, of `folder`. InputError where one is missing or outdated, export apart."""

    def __init__(self, folder: RunFolder) -> None:
        found = {stage: folder.require(stage) for stage in STAGES if stage is not EXPORT}  # each is read once
        self.all = list(found.values())
        self.dataset: Document[types.DatasetRecord, types.DatasetSummary] = found[DATASET]
        self.curation: Document[types.CurationRecord, types.CurationSummary] = found[CURATION]
        self.training: Document[types.TrainingRecord, types.TrainingSummary] = found[TRAINING]
        self.comparison: Document[types.ComparisonRecord, types.ComparisonSummary] = found[COMPARISON]
        self.export = folder.latest(EXPORT)
        if self.export:
            self.all.append(self.export)


def write_report(folder: RunFolder, minutes_per_image: float = MINUTES_PER_IMAGE) -> Path:
    """Write RUN/report/index.html and RUN/report/figures/*.svg; return the page's path.

    `minutes_per_image` is what finding, taking and labelling one picture is taken to cost.
    Raises InputError where a stage's document is missing, export apart, or `minutes_per_image` is not above zero.
    """
    if not minutes_per_image > 0:
        raise InputError(f"the minutes per image are {minutes_per_image:g}; give how long one picture takes, as 5")
    content = _content(folder, Documents(folder), minutes_per_image)
    shown = [(name, title) for name, title in TITLES.items() if name not in MAY_LACK or content[name]]
    page = render(TEMPLATE, {**content, "contents": shown})
    path = folder.subfolder("report") / "index.html"
    replace_file(path, page.encode())
    return path


def _content(folder: RunFolder, documents: Documents, minutes_per_image: float) -> dict[str, object]:
    summary, trainings = documents.comparison.summary, documents.training.records
    curve = documents.curation.summary.learning_curve
    export = documents.export
    stations = for_stations(export.summary, export.records, summary) if export else None
    difference = sentences.apart(summary, trainings)
    learnt = next(record.images for record in trainings if record.arm == summary.candidate)
    return {
        "title": f"rarefault report of {folder.path.resolve().name}",
        "verdict": summary.verdict,
        "headline": sentences.HEADLINES[difference][summary.verdict],
        "answers": sentences.answers(summary, trainings),
        "next_steps": sentences.next_steps(summary, difference, curve, stations.arm if stations else None),
        "names_mean": meanings(summary.arms),
        "tiles": _tiles(summary, stations.arm if stations else ""),
        "stations": stations,
        "no_bundle": NO_BUNDLE,
        "feedback": feedback(judged.summary) if (judged := read_feedback(folder.path / FEEDBACK)) else None,
        "changes": _changes(summary),
        "gate": sentences.gate_sentences(summary),
        "photograph": _photograph(curve, summary.fault_labels) if curve else None,
        "hours": sentences.hours(sum(learnt["synthetic"].values()), minutes_per_image),
        "arms": _arms(trainings, summary),
        "differences": _differences(summary),
        "spots": _spots(folder, summary),
        "mending": _mending(folder),
        "classes": _classes(summary),
        "figures": {found[0]: _figure(folder, *found) for found in _figures(folder, documents)},
        "samples": _samples(folder, documents),
        "curation": _curation(folder, documents.curation),
        "data": _data(documents.dataset.summary, summary.fault_labels),
        "limits": limits(documents),
        "stages": _stages(documents),
        "models": _models(documents),
        "bundle": _bundle(folder),
        "settings": [
            {"stage": found.stage.document, "text": json.dumps(found.inputs.settings, indent=2, ensure_ascii=False)}
            for found in documents.all
        ],
    }


# Tables


def _photograph(curve: types.LearningCurve, faults: Sequence[str]) -> Table:
    """Say how many more real images each class needs, from the learning curve."""
    advice = {
        ENOUGH: "none",
        PHOTOGRAPH: "about {}",
        MORE_THAN: "more than {}",
        TOO_FEW: "too few to say; any new one helps",
    }
    rows = [
        [label, advice[found.says].format(found.photograph), str(found.now), _recall(found.recall[-1])]
        for label, found in curve.classes.items()
    ]
    caption = (
        f"Pictures to take so that {100 * curve.recall_target:g} of 100 of each class are found. Where it says “more "
        "than”, more of the same hardly help: look for another view of it."
    )
    return Table(caption, ["class", "photograph", "training images now", "recall now"], rows, faults)


def _recall(value: float | None) -> str:
    return "unknown" if value is None else Bar(f"{100 * value:.0f} %", value)


def _tiles(summary: types.ComparisonSummary, packed: str) -> list[dict[str, str]]:
    """Return the key figures at the top of the page."""
    metric, name = summary.metric, METRIC_NAMES[summary.metric]
    shown = list(dict.fromkeys([summary.baseline, summary.candidate]))
    values = [summary.arms[arm].metrics[metric] for arm in shown]
    tiles = [
        {"name": f"{name} of {arm}", "value": f"{100 * found.value:.1f} %", "note": percent(found).partition(" % ")[2]}
        for arm, found in zip(shown, values, strict=True)
    ]
    if len(shown) > 1:
        change = summary.differences[summary.candidate].metrics[metric]
        value, _, reach = points(change).removesuffix(" points").partition(" ")
        tiles.append({"name": f"change of {name}", "value": f"{value} points", "note": reach})
    groups = f"in {summary.test.groups} groups; no training saw them"
    tiles.append({"name": "test pictures", "value": str(summary.test.images), "note": groups})
    return tiles + ([{"name": "in the bundle", "value": packed, "note": ""}] if packed else [])


def _changes(summary: types.ComparisonSummary) -> list[dict[str, object]]:
    """Return for every class that is told of what became of its recall, by baseline and candidate."""
    shown = list(dict.fromkeys([summary.baseline, summary.candidate]))
    found: list[dict[str, object]] = []
    for label, (word, sentence) in zip(sentences.told_classes(summary), sentences.class_changes(summary), strict=True):
        recalls = [(arm, recall) for arm in shown if (recall := summary.arms[arm].recall[label])]
        bars = [(arm, bar(recall)) for arm, recall in recalls]
        found.append({"name": sentences.in_words(label), "word": word, "sentence": sentence, "recalls": bars})
    return found


def _arms(trainings: Sequence[types.TrainingRecord], summary: types.ComparisonSummary) -> Table:
    rows, metrics = [], measured(summary)
    head = ["arm", "real and generated images", *(METRIC_NAMES[metric] for metric in metrics)]
    for arm, found in summary.arms.items():
        images = next(record.images for record in trainings if record.arm == arm)
        cells = [_spread_bar(found.metrics[metric]) for metric in metrics]
        learnt = " + ".join(str(sum(images[kind].values())) for kind in ("real", "synthetic"))
        rows.append([arm, learnt, *cells])
    caption = f"Mean over the seeds, with its {100 * summary.confidence:g} % interval and spread between seeds."
    return Table(caption, head, rows)


def _spread_bar(metric: types.Measured) -> Bar:
    spread = "" if metric.std is None else f", ±{100 * metric.std:.1f}"
    return Bar(f"{percent(metric)}{spread}", metric.value, metric.low, metric.high)


def _differences(summary: types.ComparisonSummary) -> Table:
    rows, metrics = [], measured(summary)
    names = [METRIC_NAMES[metric] for metric in metrics]
    for arm, found in summary.differences.items():
        cells = [points(found.metrics[metric]) for metric in metrics]
        test = found.mcnemar
        mcnemar = f"p = {test.p_holm:.3g} ({test.only_arm_right} against {test.only_baseline_right} images)"
        rows.append([f"{arm} − {summary.baseline}", *cells, mcnemar, found.verdict])
    caption = (
        "Differences to the baseline on the same resamples. McNemar: images that only the first or only the baseline "
        "has right, by the averaged probabilities of the seeds; p by Holm's method for all rows together."
    )
    return Table(caption, ["difference", *names, "McNemar", f"verdict on {METRIC_NAMES[summary.metric]}"], rows)


def _classes(summary: types.ComparisonSummary) -> Table:
    others = list(summary.differences)
    rows = []
    for label in summary.labels:
        counts = summary.test.per_class[label]
        recalls = [summary.arms[arm].recall[label] for arm in summary.arms]
        changes = [summary.differences[arm].recall[label] for arm in others]
        cells = [bar(recall) if recall else "no image" for recall in recalls]
        cells += [points(change) if change else "no image" for change in changes]
        rows.append([label, str(counts.images), str(counts.groups), *cells])
    head = ["class", "test images", "groups", *(f"recall, {arm}" for arm in summary.arms)]
    head += [f"{arm} − {summary.baseline}" for arm in others]
    return Table("Recall per class on the test set.", head, rows, summary.fault_labels)


def _spots(folder: RunFolder, summary: types.ComparisonSummary) -> dict[str, object] | None:
    """Say what each arm sees of the faults; None where no arm has a spatial head."""
    if not spots.by_arm(summary):
        return None
    found = read_mending(folder)
    return {
        "evidence": spots.evidence_table(summary).without(spots.NOTHING),
        "recall": spots.recall_table(summary).without(spots.NOTHING),
        "sizes": spots.size_table(summary),
        "sentences": spots.sentences(summary),
        "maps": _tiles_of(folder, found.maps, []) if found and found.maps else [],
    }


def _mending(folder: RunFolder) -> dict[str, object] | None:
    found = read_mending(folder)
    if not found or not found.suspects:
        return None
    table = spots.mending_table(found.suspects)
    texts = [f"{row[0]} {row[3]}, {row[4]}" for row in table.rows]
    return {"table": table, "pictures": _tiles_of(folder, found.sheet, texts) if found.sheet else []}


def read_mending(folder: RunFolder) -> types.Mending | None:
    """Read which pictures to look at again; None where the comparison is of a version that did not say."""
    path = folder.path / COMPARISON.document / contact_sheets.MENDING_FILE
    return from_json(types.Mending, json.loads(path.read_bytes())) if path.exists() else None


# Pictures


def _sheet(folder: RunFolder, path: str) -> str | None:
    """Return a contact sheet of the run as a data URI; None where it is gone."""
    place = folder.path / path
    return _uri("image/jpeg", encode_jpeg(read_image(place).frame, 70)) if place.exists() else None


def _tiles_of(folder: RunFolder, path: str, texts: Sequence[str]) -> list[dict[str, str]]:
    """Return the pictures of a sheet of large tiles; none where the sheet is gone.

    `texts` say what each shows; those without one keep the caption that is drawn into the sheet.
    """
    place = folder.path / path
    tiles = contact_sheets.large_tiles(read_image(place).frame) if place.exists() else []
    shown = []
    for number, tile in enumerate(tiles):
        text = texts[number] if number < len(texts) else ""
        uri = _uri("image/jpeg", encode_jpeg(tile.picture if text else tile.captioned, 70))
        shown.append({"uri": uri, "text": text or f"test picture {number + 1} with its map", "caption": text})
    return shown


def _figures(folder: RunFolder, documents: Documents) -> Iterator[tuple[str, Figure, str, str]]:
    """Yield (name, figure, what it is, what can be seen in it) of every figure."""
    summary = documents.comparison.summary
    arms = [summary.baseline, summary.candidate]
    if curve := documents.curation.summary.learning_curve:
        title = "Recall of each class by the number of its real training images; dashed: the recall aimed at."
        yield "learning-curve", figures.learning_curves(curve), title, sentences.learning_curves(curve)
    for arm in arms:
        title = (
            f"Confusion matrix of {arm}: each row is a true class, each column a label that was given; in full colour "
            "where it is half of the class or more."
        )
        matrix, seen = figures.confusion_matrix(summary, arm), sentences.confusion_matrix(summary, arm)
        yield f"confusion-{arm}", matrix, title, seen
    title = "How often the likeliest label is right, by its probability; dashed: what the probability promises."
    yield "reliability", figures.reliability(summary, arms), title, sentences.reliability(summary, arms)
    yield "recall", figures.recall_intervals(summary), "Recall on the test set.", sentences.recall_intervals(summary)
    if summary.differences and summary.baseline != summary.candidate:
        title = f"How far each arm is from {summary.baseline}, with the range that it leaves; dashed: no difference."
        yield "differences", figures.differences(summary), title, sentences.differences(summary)
    histories: dict[str, list[list[types.Evaluation]]] = {}
    for record in documents.training.records:
        path = folder.path / record.path / "history.json"
        if path.exists():
            history = [from_json(types.Evaluation, entry) for entry in json.loads(path.read_bytes())]
            histories.setdefault(record.arm, []).append(history)
    if histories:
        title = "Macro F1 on the validation images during training, one line per training."
        yield "validation", figures.validation_curves(histories), title, sentences.validation_curves(histories)


def _figure(folder: RunFolder, name: str, figure: Figure, title: str, seen: str) -> dict[str, str]:
    drawing = as_svg(figure, name, title, seen)
    replace_file(folder.subfolder("report/figures") / f"{name}.svg", drawing.file.encode())
    return {"svg": Markup(drawing.page), "title": title}


def _samples(folder: RunFolder, documents: Documents) -> list[dict[str, object]]:
    store = ImageStore(load_settings(folder.path))
    real = [record for record in documents.dataset.records if record.split == TRAIN]
    kept = [record for record in documents.curation.records if record.kept]

    def opened(record: types.CurationRecord) -> Frame:
        return read_image(folder.path / (record.path or "")).frame

    def kinds(label: str) -> list[tuple[str, list[dict[str, str]]]]:
        made = _thumbnails("generated", kept, label, opened)
        return [("real", _thumbnails("real", real, label, store.frame)), ("generated", made)]

    return [{"label": label, "kinds": kinds(label)} for label in documents.training.summary.labels]


def _thumbnails(
    kind: str, records: Sequence[Image], label: str, opened: Callable[[Image], Frame]
) -> list[dict[str, str]]:
    """Show the first images of a class by id; one that is gone (the page may be made elsewhere) is left out."""
    of_label = sorted((record for record in records if record.label == label), key=lambda record: record.id)
    thumbnails = []
    for record in of_label[:SAMPLES_PER_CLASS]:
        try:
            thumbnails.append({"uri": _thumbnail(opened(record)), "text": f"{kind} picture of {label}, {record.id}"})
        except InputError:
            continue
    return thumbnails


def _thumbnail(frame: Frame) -> str:
    height, width = frame.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    small = resize_by_area(frame, max(1, round(width * scale)), max(1, round(height * scale)))
    return _uri("image/jpeg", encode_jpeg(small, 85))


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


# What went in


def _curation(folder: RunFolder, curation: Document[types.CurationRecord, types.CurationSummary]) -> dict[str, object]:
    kept = sum(record.kept for record in curation.records)
    rows = [[reason, str(count)] for reason, count in curation.summary.rejected.items()]
    return {
        "sentence": f"{kept} of {len(curation.records)} generated images were kept. An image may have several reasons.",
        "table": Table("Rejected by reason.", ["reason", "images"], rows),
        "sheets": [
            {
                "title": f"{sheet.images} {sheet.kind} picture{'s' * (sheet.images != 1)} of {sheet.label}",
                "uri": uri,
            }
            for sheet in curation.summary.sheets
            if (uri := _sheet(folder, sheet.path))
        ],
    }


def _data(summary: types.DatasetSummary, faults: Sequence[str]) -> dict[str, object]:
    rows = [[label, *(str(counts[side]) for side in SIDES)] for label, counts in summary.classes.items()]
    sentence = (
        f"{summary.images} images in {summary.groups} groups (duplicates and bursts of one thing stay together); "
        f"{summary.perceptual_pairs} pairs of perceptual duplicates, {summary.straddling_pairs} of them on two "
        f"sides of the split; {summary.exact_copies} exact copies left out."
    )
    listings = {
        "Not read": summary.unread,
        "Quarantined": summary.quarantined,
        "Left out": summary.dropped,
        "Ignored": summary.ignored,
    }
    return {
        "sentence": sentence,
        "table": Table("Real images per class.", ["class", "training", "validation", "test"], rows, faults),
        "listings": [{"name": name, "rows": files} for name, files in listings.items() if files],
    }


def limits(documents: Documents) -> list[str]:
    """Say what the numbers do not show, as far as the documents know it."""
    summary = documents.comparison.summary
    return [
        *documents.dataset.summary.hints,
        *_model_limits(documents),
        *_size_limits(summary, documents.training),
        f"Intervals come from {summary.resamples} resamples of groups of test images and of seeds. McNemar's test "
        "takes images for independent, so bursts make its p too small. Only the verdict's own metric was chosen "
        "beforehand; the other numbers are many looks at one test set.",
    ]


def _model_limits(documents: Documents) -> Iterator[str]:
    embedded = sorted({name for _, name, _ in _model_rows(documents) if name.startswith("mini/")})
    if embedded:
        yield (
            f"The models {', '.join(embedded)} are the small embedded ones: they show that the loop works, not what "
            "full-size models reach."
        )
    if documents.training.model("initial_weights")["source"] == "none":
        yield "The classifiers were trained from scratch; ImageNet weights usually help all arms."


def _size_limits(
    summary: types.ComparisonSummary, training: Document[types.TrainingRecord, types.TrainingSummary]
) -> Iterator[str]:
    """Yield what few test images, few trainings and missing training images mean for the numbers."""
    counts = {label: entry.images for label, entry in summary.test.per_class.items()}
    few = [f"{label} ({count})" for label, count in counts.items() if count < FEW_IMAGES]
    if few:
        yield f"Few test images, so wide intervals: {', '.join(few)}."
    seeds = min(entry.seeds for entry in summary.arms.values())
    if seeds < FEW_SEEDS:
        yield f"Only {seeds} training{'s' * (seeds > 1)} per arm: the spread between seeds is a guess."
    for arm in training.inputs.settings.get("arms", ()):
        if arm not in summary.arms:
            yield f"Arm {arm} had no image to learn from and was not trained."
    for record in training.records:
        lacking = [label for label in summary.labels if not sum(kind[label] for kind in record.images.values())]
        if lacking and record.seed == 0:
            yield f"Arm {record.arm} has no training image of: {', '.join(lacking)}."


# Where it comes from


def _stages(documents: Documents) -> Table:
    rows = [
        [found.stage.document, f"v{found.version:04d}", found.created, str(len(found.records)), found.digest]
        for found in documents.all
    ]
    return Table("Documents.", ["stage", "version", "created", "records", "digest"], rows)


def _bundle(folder: RunFolder) -> Table | None:
    """List the files of the exported bundle with their digests."""
    manifest = folder.path / "bundle" / "manifest.json"
    if not manifest.exists():
        return None
    rows = [["manifest.json", sha256_file(manifest)]]
    rows += [[name, entry["sha256"]] for name, entry in json.loads(manifest.read_bytes())["files"].items()]
    return Table("Files of the bundle.", ["file", "SHA-256"], [row for row in rows if not row[0].startswith("golden/")])


def _models(documents: Documents) -> Table:
    return Table("Models.", ["role", "name", "digest or revision"], _model_rows(documents))


def _model_rows(documents: Documents) -> list[tuple[str, str, str]]:
    """Return (role, name, digest or revision) of every model that a document names."""
    rows = []
    for document in documents.all:
        for role in document.inputs.models:
            identity = document.model(role)
            name = identity.get("name") or identity.get("source", "")
            rows.append((role, name, identity.get("sha256") or identity.get("revision", "")))
    return list(dict.fromkeys(rows))
