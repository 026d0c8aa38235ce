"""Metrics over the sums of a pair."""
