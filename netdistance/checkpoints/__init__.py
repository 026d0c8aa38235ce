"""Files to named arrays, streamed: one file per format."""
