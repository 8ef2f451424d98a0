"""Our own weight files: names, manifest, the legacy `.h5` layout, the config inside."""
