"""The models of the settings, loaded when they are asked for."""

import subprocess
import sys

from augment.models.registry import Models
from augment.presets import PRESETS


def test_nothing_is_loaded_before_it_is_asked_for():
    models = Models(PRESETS["sd21"])
    assert not {"captioner", "writer", "painter"} & vars(models).keys()


def test_naming_the_models_loads_no_library():
    probe = (
        "import sys\n"
        "from augment.models.registry import Models\n"
        "from augment.presets import PRESETS\n"
        "Models(PRESETS['mini']).painter_folder\n"
        "print({'transformers', 'diffusers'} & sys.modules.keys())\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_was_released_is_loaded_again_when_it_is_asked_for():
    models = Models(PRESETS["mini"])
    first = models.writer
    models.release()
    assert "writer" not in vars(models)
    assert models.writer is not first
