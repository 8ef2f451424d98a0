"""The browser page: networks loaded once, sessions that leave nothing behind, and the wiring."""
