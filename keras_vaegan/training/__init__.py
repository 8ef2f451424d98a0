"""How a trainer becomes a run: the loop, its records, its state, its hardware."""
