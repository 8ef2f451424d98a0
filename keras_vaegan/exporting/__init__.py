"""Trained networks as TensorFlow SavedModels that need nothing else: images in, images out."""
