"""A network from its file alone: our own `.h5`, other code's of any Keras, ESRGAN checkpoints."""
