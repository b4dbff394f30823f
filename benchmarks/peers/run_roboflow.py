"""Roboflow's inference-models on a local package: `run_roboflow.py PACKAGE PICTURE...`."""

import json
import sys


def main(package, pictures):
    """Print one JSON line a picture."""
    import cv2
    from inference_models import AutoModel

    model = AutoModel.from_pretrained(package)
    for path in pictures:
        found = model(cv2.imread(path))
        print(json.dumps({"path": path, "label": model.class_names[int(found.class_id[0])]}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
