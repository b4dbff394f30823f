"""From frames to decisions: engines for ONNX and TensorRT, blank frames, the evaluator."""
