"""A trained encoder in other forms: an ONNX model, and a folder as model hubs hold it."""
