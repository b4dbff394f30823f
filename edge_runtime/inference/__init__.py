"""Makes decisions of frames: engines for ONNX and TensorRT, blank frames, the evaluator."""
