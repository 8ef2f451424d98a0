"""The report of an evaluation: what it says (`content`), and the page that says it (`page`)."""
