"""Keras HDF5 files of Keras 1, 2 and 3: described, rebuilt, loaded."""
