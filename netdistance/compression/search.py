"""The cheapest assignment on a frontier that a measurement lets pass."""

from __future__ import annotations

from collections.abc import Callable


def cheapest_within(meets: dict[int, bool], count: int, measure: Callable[[int], bool]) -> int:
    """The last of `count` assignments, the smallest in size, that was measured to meet a budget.

    `meets` has what was measured already, by number, the first of them True: it is extended. By
    bisection between the last that meets and the first beyond it that does not: at most
    log2(count) measurements. Where deviation falls with size an assignment beyond may meet as well.
    """
    while True:
        last = max(number for number, passed in meets.items() if passed)
        beyond = [number for number, passed in meets.items() if not passed and number > last]
        first = min(beyond, default=count)
        if first - last <= 1:
            return last
        middle = (last + first) // 2
        meets[middle] = measure(middle)
