"""Float64 sums of a pair, and spectral norms as proved intervals."""
