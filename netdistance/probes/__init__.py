"""Measurements on a running network."""
