"""Export of a trained encoder to an ONNX model or to a folder for model hubs."""
