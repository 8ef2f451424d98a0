"""Procedural heads with known truth, in the layouts of the real data sets."""
