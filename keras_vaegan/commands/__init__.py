"""One file a command: its options and a few calls. No logic of a system."""
