"""A bare loop of ONNX Runtime, on the bundle's own file: `run_onnxruntime.py MODEL LABELS PICTURE...`.

What somebody writes in ten lines: decode, stretch to the model's input, run, with the library's own settings.
"""

import json
import sys

import cv2
import onnxruntime


def main(model, labels, pictures):
    """Print one JSON line a picture."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    _, height, width, _ = session.get_inputs()[0].shape
    for path in pictures:
        frame = cv2.resize(cv2.imread(path), (width, height), interpolation=cv2.INTER_AREA)
        logits = session.run(["logits"], {"frames": frame[None]})[0][0]
        print(json.dumps({"path": path, "label": labels[int(logits.argmax())]}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","), sys.argv[3:])
