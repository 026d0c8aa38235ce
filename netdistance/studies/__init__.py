"""One file per job; each reads like a table of contents."""
