"""Reading, aligning and streaming images; phantoms. Knows neither models nor trainers."""
