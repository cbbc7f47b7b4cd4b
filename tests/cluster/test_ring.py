"""What a node keeps of the log, for an engine that has lost it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tcpchat_net.logs.stream import NO_CHAIN, Origin, Row, chained
from tcpchat_net.logs.stream.ring import Ring


def rows_of(sizes: list[int]) -> list[Row]:
    """The batches of a log, of so many entries each."""
    rows: list[Row] = []
    last, chain = 0, NO_CHAIN
    for number, size in enumerate(sizes, 1):
        last, origin, record = last + size, Origin(1, 1, number), b"." * size
        chain = chained(chain, last, number, origin, record)
        rows.append(Row(last, size, number, origin, chain, record))
    return rows


@given(
    sizes=st.lists(st.integers(1, 50), max_size=30),
    max_bytes=st.integers(1, 8_000),
    most=st.integers(1, 40),
)
def test_it_gives_what_is_behind_any_place_that_it_reaches_back_to(
    sizes: list[int], max_bytes: int, most: int
) -> None:
    ring, rows = Ring(0, NO_CHAIN, max_bytes=max_bytes), rows_of(sizes)
    for row in rows:
        assert row.follows(ring.seq, ring.chain)
        ring.add(row)
    assert len(ring) == len(rows) or ring.bytes <= max_bytes or len(ring) == 1
    ends = [(0, NO_CHAIN), *((row.last, row.chain) for row in rows)]
    for place, (seq, chain) in enumerate(ends):
        found = ring.behind(seq, chain, most)
        if place < len(rows) - len(ring):
            assert found is None
        else:
            assert found == rows[place:][:most]


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=10), at=st.integers(0, 60))
def test_of_another_log_it_gives_nothing(sizes: list[int], at: int) -> None:
    ring = Ring(0, NO_CHAIN)
    for row in rows_of(sizes):
        ring.add(row)
    assert ring.behind(at, "f" * 40, 10) is None
    between = at not in {0, *(row.last for row in rows_of(sizes))}
    if between:
        assert ring.behind(at, ring.chain, 10) is None
