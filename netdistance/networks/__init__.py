"""A runnable model: loading, inputs, the traced graph and its layer rules."""
