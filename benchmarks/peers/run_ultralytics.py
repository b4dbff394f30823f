"""ultralytics on an ONNX file: `run_ultralytics.py MODEL LABELS SIDE PICTURE...`.

It cuts the square in the middle out of a picture, which would hide three sevenths of a 1080p frame from the model; so
its resize step is replaced by one that stretches, as the other tools do. The rest is its own predictor, which gets the
pictures by a file of their paths: it would open those of a list all at once and run them as one batch.
"""

import json
import sys
import tempfile


def main(model, labels, side, pictures):
    """Print one JSON line a picture."""
    import torchvision.transforms
    from ultralytics import YOLO

    def stretch(predictor):
        predictor.host_transforms.transforms[0] = torchvision.transforms.Resize((side, side))

    network = YOLO(model, task="classify")
    network.add_callback("on_predict_start", stretch)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("\n".join(pictures))
        listed.flush()
        for result in network.predict(listed.name, imgsz=side, stream=True, verbose=False, device="cpu"):
            print(json.dumps({"path": result.path, "label": labels[result.probs.top1]}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","), int(sys.argv[3]), sys.argv[4:])
