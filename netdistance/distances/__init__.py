"""Metrics over the sums of a pair."""

from netdistance.distances.noise_floor import ROUNDING_METRICS, RoundingMetric
from netdistance.distances.relative import SUM_METRICS, SumMetric

__all__ = ["ROUNDING_METRICS", "SUM_METRICS", "RoundingMetric", "SumMetric"]
