"""System B: a missing MRI contrast from the others, volume in, volume out."""
