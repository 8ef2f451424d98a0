"""The systems: one folder each, and the registry that finds them. Light: no Keras is imported."""
