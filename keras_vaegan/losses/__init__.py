"""Losses: pure functions of tensors, in keras.ops alone."""
