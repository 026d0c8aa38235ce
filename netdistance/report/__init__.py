"""The versioned report, and one renderer per file."""
