"""How a generated image comes about: the names that settings, records and training arms have in common.

text2img           from noise and a prompt
img2img-0.5        from a real image of the class, noised to that strength (0..1), and a prompt
edit-0.7           from a real image of the class or of its counterpart in generate.hosts: the healthy equipment becomes
                   the faulty one in its own surroundings (Diff-Mix, Wang et al. 2024, arXiv:2403.19600)
inpaint-0.9        a real image of healthy equipment, in which a prompt of the class is painted at that strength where a
                   fault fits, and as large as a real one
transplant         a fault's own patch in a real image of healthy equipment; no model
heatup             what a hotspot is hotter than its surroundings, added to a real thermal image of healthy equipment at
                   an equally warm place that looks the same; no model
heal               a real image of a fault with all its boxes healed, as one of healthy equipment: each of them once,
                   whatever the quotas; the counterfactual that shows a classifier what the fault is and what not
codec              a real image through encoder and decoder, no diffusion: what the codec alone does
adapted-...        text2img, img2img, edit or inpaint with the adapter that `rarefault adapt` trained on the station's
                   images
render-DOMAIN      drawn by the mini renderer, catalogue or station: a perfect generator, for its own labels only
"""

import re
from dataclasses import dataclass

from edge_runtime.bundle.errors import InputError

ADAPTED = "adapted-"
HEAL = "heal"
CLASSIC = "classic"  # a part of an arm's name: the class head, whatever the settings say
EXPECTED = (
    "text2img, img2img-0.5, edit-0.5 and inpaint-0.9 (or another strength), transplant, heatup, heal, codec, "
    "render-station, adapted-text2img ..."
)


@dataclass(frozen=True)
class Method:
    """A parsed method name."""

    name: str
    kind: str  # text2img, img2img, edit, inpaint, codec, transplant, heatup, heal, render
    adapted: bool = False
    strength: float | None = None  # of img2img, edit and inpaint: the share of the noise steps that are run
    domain: str | None = None  # of render

    @property
    def starts_from_image(self) -> bool:
        """Whether a real image goes in."""
        return self.kind in ("img2img", "edit", "codec")

    @property
    def inserts(self) -> bool:
        """Whether a fault is put into a real picture whose other pixels stay."""
        return self.kind in ("transplant", "heatup", "inpaint")

    @property
    def heals(self) -> bool:
        """Whether faults are taken out of real pictures; such an image is no stand-in for a real one of its class."""
        return self.kind == HEAL


def parse_method(name: str) -> Method:
    """Read the method called `name`. Raises InputError that names the methods there are."""
    plain = name.removeprefix(ADAPTED)
    adapted = plain != name
    if plain == "text2img":
        return Method(name, plain, adapted)
    if match := re.fullmatch(r"(img2img|edit|inpaint)-(0\.\d+|1\.0)", plain):
        if (strength := float(match[2])) > 0:
            return Method(name, match[1], adapted, strength=strength)
    elif name in ("codec", "transplant", "heatup", HEAL):
        return Method(name, name)
    elif match := re.fullmatch(r"render-(catalogue|station)", name):
        return Method(name, "render", domain=match[1])
    raise InputError(f"method {name!r} of generating is not known, expected one of {EXPECTED}")
