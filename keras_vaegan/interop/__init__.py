"""Weight files of other code: Keras `.h5` of any age, and ESRGAN checkpoints of PyTorch."""
