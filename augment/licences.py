"""What the makers of a data set or model allow: one line for each that a bundle comes from."""

from collections.abc import Mapping

from augment.settings import Settings

UNKNOWN = "not known to rarefault; see where it came from"
OWN = "rarefault's own"
IMAGENET = "trained on ImageNet, whose terms allow research"
ELPV = "CC BY-NC-SA 4.0"
# By what a model's name holds. From their makers' pages, to be checked before a bundle is given to others.
KNOWN = {
    "mini/": OWN,
    "lexical": OWN,
    "blip-image-captioning": "BSD-3-Clause",
    "gpt2": "MIT",
    "stable-diffusion-2": "CreativeML Open RAIL++-M",
    "stable-diffusion-v1": "CreativeML Open RAIL-M",
    "minilm": "Apache-2.0",
    "clip-vit": "MIT",
    "dinov2": "Apache-2.0",
    "lite0": f"the package states none, TensorFlow's original is Apache-2.0; {IMAGENET}",
    "resnet50": f"BSD-3-Clause; {IMAGENET}",
}


def licences(settings: Settings, models: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the licences, by "data" or a model's role. `models` are role -> name, revision, digest or source."""
    data = settings.data.licence or (ELPV if settings.data.source == "elpv-dataset" else "not stated (data.licence)")
    return {"data": data, **{role: _of(identity) for role, identity in models.items()}}


def _of(identity: Mapping[str, str]) -> str:
    if identity.get("source") == "none":
        return OWN  # drawn at random
    known = " ".join(identity.get(key, "") for key in ("name", "revision", "source")).lower()
    return next((licence for part, licence in KNOWN.items() if part in known), UNKNOWN)
