"""Weight files and resumable run state."""
