"""The stronger sentiment tier: any ONNX or transformers text classifier, named in the configuration."""
