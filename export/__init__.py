"""From a trained checkpoint to a bundle: the network as the edge sees it, ONNX files, golden frames, packing."""
