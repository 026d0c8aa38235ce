"""Metrics of a pair of tensors: from streamed sums, against rounding, and of whole matrices."""

from netdistance.distances.noise_floor import ROUNDING_METRICS, RoundingMetric
from netdistance.distances.relative import SUM_METRICS, SumMetric
from netdistance.distances.structure import MATRIX_METRICS, MatrixMetric

__all__ = [
    "MATRIX_METRICS",
    "ROUNDING_METRICS",
    "SUM_METRICS",
    "MatrixMetric",
    "RoundingMetric",
    "SumMetric",
]
