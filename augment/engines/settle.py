"""Settings of a whole process, which hold for whatever is computed in it: threads, and what the libraries print."""

import logging
import os
import warnings


def settle_process(threads: int | None = None) -> None:
    """Make the settings of the whole process; call it before torch is loaded, which reads the first of them.

    `threads` is how many threads an operation of torch may use where the environment does not say so.
    """
    # Threads that spin while they wait slow each other down where cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # What the libraries would log and warn buries the stages' own lines.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Of many classes with few images each, which is what a learning curve begins with; scikit-learn doubts the labels.
    warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
