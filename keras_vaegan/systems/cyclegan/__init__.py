"""Systems A and C: unpaired translation between two modalities by a CycleGAN."""
