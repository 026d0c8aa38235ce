"""Which tensor of a faces which of b."""
