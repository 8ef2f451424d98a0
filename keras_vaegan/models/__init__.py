"""Functional Keras models, written in keras.layers and keras.ops alone."""
