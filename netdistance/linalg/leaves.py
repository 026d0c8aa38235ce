"""The unit in which sums over a tensor are kept, so that nothing about the run changes a bit."""

# a sum is kept for each leaf of so many elements, counted from the tensor's start
LEAF_ELEMENTS = 1 << 16
# below OpenBLAS's threading threshold of 10,000: the thread count cannot change a dot product
DOT_ELEMENTS = 1 << 12
