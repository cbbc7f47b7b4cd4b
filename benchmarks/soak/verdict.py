"""Whether a figure stays as it is: the rule by which a soak is judged.

Rule 1: Of what is measured from begin to end the first quarter does not count: what is kept fills
        up meanwhile.

Rule 2: Its growth is the Theil-Sen slope, the median of the slopes between any two samples, times
        the time from the first to the last of them. A spike moves it as little as a dip does, as
        long as they are less than a quarter of the samples.

Rule 3: It is flat when that growth is at most so much of the median of the samples; what is counted
        in ones, when it is less than half of one. What shrinks is flat, too.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import Final, NamedTuple

WARM_UP: Final = 0.25

# More samples than that are put together in groups: there are as many slopes as pairs.
MOST_SAMPLES: Final = 400


# Growth of what is counted in ones.
HALF_OF_ONE: Final = 0.5


class Growth(NamedTuple):
    """How a figure went on: its medians, of the first and the last tenth and of all, and by how
    much it `grew` over all of the time.
    """

    first: float
    last: float
    median: float
    grew: float

    @property
    def share(self) -> float:
        """Its growth, as a share of its median; of a figure that is 0, what it is."""
        return self.grew / self.median if self.median else self.grew

    def is_flat(self, limit: float | None) -> bool:
        """Whether it grew by such a share at most; None for what is counted in ones."""
        return self.grew <= HALF_OF_ONE if limit is None else self.share <= limit


def warmed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What counts of a figure, which is pairs of time and value, in the order of time."""
    if not points:
        return []
    begin, end = points[0][0], points[-1][0]
    since = begin + WARM_UP * (end - begin)
    return [point for point in points if point[0] >= since]


def growth(points: Sequence[tuple[float, float]]) -> Growth | None:
    """How a figure went on; None when there are too few samples to tell."""
    if len(points) < 2:
        return None
    values = [value for _, value in points]
    tenth = max(1, len(values) // 10)
    took = points[-1][0] - points[0][0]
    return Growth(
        statistics.median(values[:tenth]),
        statistics.median(values[-tenth:]),
        statistics.median(values),
        slope(grouped(points, MOST_SAMPLES)) * took,
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's, in units of the value for one of the time."""
    slopes = [(y - v) / (x - u) for (u, v), (x, y) in combinations(points, 2) if x != u]
    return statistics.median(slopes) if slopes else 0.0


def grouped(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Medians of neighbours, so that there are `most` points at most."""
    size = -(-len(points) // most)
    groups = [points[at : at + size] for at in range(0, len(points), size or 1)]
    return [
        (statistics.median(x for x, _ in group), statistics.median(y for _, y in group))
        for group in groups
    ]
