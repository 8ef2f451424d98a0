"""Trained networks for other programs: SavedModel, ONNX and LiteRT, each with its model card."""
