"""The page of `rarefault doctor`, for whoever mends the pictures: one file, the most dangerous first."""

from collections.abc import Sequence

from augment.record_types import DatasetRecord, DatasetSummary
from augment.report import doctor
from augment.report.pages import render
from augment.report.table import Bar, Table

TEMPLATE = "doctor.html.j2"
WORDS = {doctor.STOPS: "stops a run", doctor.LOOK: "look at it", doctor.FINE: "good to know"}


def doctor_page(
    source: str, summary: DatasetSummary, records: Sequence[DatasetRecord], found: Sequence[doctor.Section]
) -> str:
    """Return the page as HTML; a section of many lines shows the first few, and the rest when asked."""
    code = doctor.exit_code(found)
    stops, look = (sum(section.level == level for section in found) for level in (doctor.STOPS, doctor.LOOK))
    named = [(f"found-{number}", section) for number, section in enumerate(found, 1)]
    headline, _, rest = doctor.SAID[code].partition(". ")
    content = {
        "title": f"rarefault doctor: {source}",
        "verdict": WORDS[code] if found else "nothing found",
        "headline": headline,
        "rest": rest,
        "tiles": [
            {"name": "usable pictures", "value": str(summary.images), "note": f"layout {summary.layout}"},
            {"name": "classes", "value": str(len(summary.classes)), "note": ""},
            {"name": "findings that stop a run", "value": str(stops), "note": ""},
            {"name": "findings to look at", "value": str(look), "note": ""},
        ],
        "classes": _classes(doctor.class_rows(summary, records)),
        "sections": [(name, WORDS[section.level], section) for name, section in named],
        "shown": doctor.MOST_LINES,
        "contents": [
            ("verdict", "Verdict"),
            ("classes", "Classes"),
            *((name, section.title) for name, section in named),
        ],
    }
    return render(TEMPLATE, content)


def _classes(rows: Sequence[Sequence[str]]) -> Table:
    """Return the table of classes, with bars of how many pictures each has beside the largest."""
    (_, *head), *body = rows
    most = max((int(row[1]) for row in body), default=1)
    cells = [[row[0], Bar(row[1], int(row[1]) / most), *row[2:]] for row in body]
    return Table("Pictures of each class; sizes are width x height in pixels.", ["class", *head], cells)
