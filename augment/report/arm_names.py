"""What the parts of an arm's name mean, for readers who did not choose them; `augment.training.arms` reads them."""

from collections.abc import Iterable

from augment.methods import ADAPTED, CLASSIC, HEAL, parse_method

PARTS = {
    "real": "learns from the real pictures",
    "synthetic": "learns from every kind of generated pictures",
    "combined": "learns from real pictures and every kind of generated ones",
    CLASSIC: "has the class head in place of the spatial head: it names a picture, and no boxes teach its map",
    "balanced": "is shown every class as often as the others",
    "gate": "goes without generated pictures where validation shows that they cost recall or bring none",
    "uncurated": "learns from what curation rejected too",
}
KINDS = {
    "text2img": "pictures made from words alone",
    "img2img": "real pictures that were partly noise and were made anew; the number says how much",
    "edit": "real pictures that were edited into another class; the number says how much",
    "inpaint": "healthy pictures into which a fault was painted",
    "transplant": "healthy pictures into which a real fault's patch was set",
    "heatup": "healthy thermal pictures in which a place was made as hot as a fault",
    HEAL: "fault pictures whose boxes were painted from their surroundings, as healthy ones",
    "codec": "real pictures through the generator's encoder and decoder only",
    "render": "drawn scenes",
}


def meanings(arms: Iterable[str]) -> list[tuple[str, str]]:
    """Return each part of the arms' names once, in the order of its first use, with what it means."""
    return [(part, _meaning(part)) for part in dict.fromkeys(part for arm in arms for part in arm.split("+"))]


def _meaning(part: str) -> str:
    if part in PARTS:
        return PARTS[part]
    by = ", by the generator as it was adapted to these pictures" if part.startswith(ADAPTED) else ""
    return f"learns from {KINDS[parse_method(part).kind]}{by}"
