"""What each layer type does to a deviation: one file per type."""
