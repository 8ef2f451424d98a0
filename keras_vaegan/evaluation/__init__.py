"""Metrics, protocols, realism tests and reports. Knows neither models nor trainers."""
