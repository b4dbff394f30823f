"""Makes a bundle of a trained checkpoint: the network as the edge sees it, ONNX files, golden frames, packing."""
