"""The textbook's answers in exact arithmetic, from Python numbers alone.

Floating-point coordinates are integers times a power of two, so a squared distance is an integer
and comparing lengths never rounds. Only cosines are, once, to float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

Row = Sequence[float]
Edge = tuple[int, int]

FINITE, INFINITE, NAN = range(3)  # the order of lengths that are numbers, infinite, or neither


class Cloud:
    """A cloud `rows`, or with the metric "precomputed" the rows of its distance matrix."""

    def __init__(self, rows: Sequence[Row], metric: str) -> None:
        self.rows, self.metric = rows, metric
        self.n = len(rows)
        finite = [x for row in rows for x in row if math.isfinite(x)]
        least = min((math.frexp(x)[1] for x in finite if x), default=0)
        self.exponent = max(least - 53, -1074)  # every finite coordinate is k * 2^exponent
        self.whole = [[_whole(x, self.exponent) for x in row] for row in rows]

    @cached_property
    def edges(self) -> dict[Edge, tuple[int, float]]:
        """What orders the edges (i, j), i < j: (kind, size), the size exact and monotone."""
        pairs = ((i, j) for i in range(self.n) for j in range(i + 1, self.n))
        return {pair: self.size(*pair) for pair in pairs}

    def size(self, i: int, j: int) -> tuple[int, float]:
        if self.metric == "precomputed":
            entry = self.rows[min(i, j)][max(i, j)]
            return (NAN, 0) if math.isnan(entry) else (FINITE, entry)
        x, y = self.rows[i], self.rows[j]
        if not all(map(math.isfinite, (*x, *y))):
            return self._special(x, y)
        p, q = self.whole[i], self.whole[j]
        if self.metric == "cosine":
            return FINITE, _cosine(p, q)
        gaps = [abs(a - b) for a, b in zip(p, q, strict=True)]
        if self.metric == "manhattan":
            return FINITE, sum(gaps)
        if self.metric == "chebyshev":
            return FINITE, max(gaps)
        return FINITE, sum(gap * gap for gap in gaps)

    def length(self, i: int, j: int) -> float:
        """The distance of i and j, rounded once to float64; inf where it is above the range."""
        kind, size = self.edges[min(i, j), max(i, j)] if i != j else self.size(i, j)
        if kind != FINITE:
            return math.inf if kind == INFINITE else math.nan
        if isinstance(size, float):
            return size
        if self.metric == "euclidean":
            root, shift = _root(size)
            return _times_power(root, self.exponent + shift)
        return _times_power(size, self.exponent)

    @cached_property
    def tree(self) -> tuple[list[Edge], list[int]]:
        """Kruskal's edges under (length, i, j), and of each the vertex that it kills."""
        return kruskal(self.n, sorted(self.edges, key=lambda pair: (self.edges[pair], pair)))

    @cached_property
    def deaths(self) -> list[float]:
        return [self.length(*edge) for edge in self.tree[0]]

    def is_on_a_small_lattice(self) -> bool:
        """Whether every kernel's arithmetic is exact, so that ties must be told as ties."""
        if self.metric == "precomputed":
            return True
        numbers = {abs(x) for row in self.whole for x in row if x is not None}
        step = math.gcd(*numbers) if numbers else 0
        if self.metric == "cosine" or step == 0:
            return self.metric != "cosine"
        spread = max(max(column) - min(column) for column in self._columns() if column) // step
        return len(self.rows[0]) * spread * spread < 1 << 20 and max(numbers) // step < 1 << 23

    def rounding_of_norms(self) -> float:
        """The relative error of the norms of float64 vectors, large for subnormal ones."""
        norms = [max(abs(x) for x in row) for row in self.rows]
        return max(2.0**-52, 2.0**-1074 / min((x for x in norms if x), default=1.0))

    def _columns(self) -> list[list[int]]:
        return [[x for x in column if x is not None] for column in zip(*self.whole, strict=True)]

    def _special(self, x: Row, y: Row) -> tuple[int, float]:
        """The length where a coordinate is NaN or infinite."""
        if any(map(math.isnan, (*x, *y))):
            return NAN, 0
        if self.metric == "cosine":
            return (NAN, 0) if any(x) and any(y) else (FINITE, 1.0)
        if any(a == b and math.isinf(a) for a, b in zip(x, y, strict=True)):
            return NAN, 0
        return INFINITE, 0


def kruskal(n: int, order: Sequence[Edge]) -> tuple[list[Edge], list[int]]:
    eldest = list(range(n))

    def find(v: int) -> int:
        while eldest[v] != v:
            eldest[v] = v = eldest[eldest[v]]
        return v

    edges, dying = [], []
    for i, j in order:
        elder, younger = sorted((find(i), find(j)))
        if elder != younger:
            eldest[younger] = elder
            edges.append((i, j))
            dying.append(younger)
    return edges, dying


def _whole(x: float, exponent: int) -> int | None:
    """x / 2^exponent, an integer; None where x is not finite."""
    if not math.isfinite(x):
        return None
    above, below = x.as_integer_ratio()  # below is a power of two
    shift = -exponent - (below.bit_length() - 1)
    return above << shift if shift >= 0 else above >> -shift


def _times_power(whole: int, exponent: int) -> float:
    try:
        return float(whole << exponent) if exponent >= 0 else whole / (1 << -exponent)
    except OverflowError:
        return math.inf


def _cosine(p: Sequence[int], q: Sequence[int]) -> float:
    """1 - cos of the angle; 1 where a vector is zero."""
    dot = sum(a * b for a, b in zip(p, q, strict=True))
    squares = sum(a * a for a in p) * sum(b * b for b in q)
    if squares == 0:
        return 1.0
    root, shift = _root(squares)
    norms = root << shift if shift >= 0 else root
    if shift < 0:
        dot, squares = dot << -shift, squares << -2 * shift
    if dot <= 0:
        return (norms - dot) / norms
    # (1 - c)(1 + c) = 1 - c²: nothing cancels.
    return (squares - dot * dot) / (norms * (norms + dot))


def _root(square: int) -> tuple[int, int]:
    """(r, e) with r·2^e the root to more than 64 bits."""
    shift = (square.bit_length() - 160) // 2
    return math.isqrt(square >> 2 * shift if shift >= 0 else square << -2 * shift), shift
