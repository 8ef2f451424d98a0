"""Trained networks for other programs: SavedModels, each with its model card."""
