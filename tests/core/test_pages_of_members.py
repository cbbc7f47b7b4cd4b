"""Who is in a room, a page at a time."""

from __future__ import annotations

from itertools import count
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, ServerLimits, ServerProtocol, events
from tcpchat_core.events import MAX_PEOPLE
from tcpchat_core.notices import Members, Rejected
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, MemoryServer, entry, name, session

TOKEN: Final = "0123456789abcdef" * 4
NICKS: Final = ("ada", "Bob", "carl", "дана", "eve", "Fay", "gil")


class Hall(MemoryServer):
    """bot is in the hall, and whoever comes; owl has an account, with a device."""

    def __init__(
        self, *nicks: str, limits: ServerLimits = NO_FLOOD_LIMIT, owned: str = "owl"
    ) -> None:
        super().__init__(ServerProtocol(ChatState(), limits=limits))
        self.conns = count(2)
        if owned:
            self.grant(owned)
        self.there: dict[str, int] = {}
        self.comes("bot")
        for nick in nicks:
            self.comes(nick)
        self.bot = self.there["bot"]
        self.read(self.bot)

    def grant(self, nick: str) -> None:
        """There is an account, of which the token's device is one."""
        self.log.append(
            entry(len(self.log) + 1, 0, events.Grant(nick, nick, device=session(TOKEN)))
        )
        self.carry_out(self.protocol.commit(self.log[-1:], now=0))

    def comes(self, nick: str) -> None:
        self.there[nick] = conn = next(self.conns)
        self.connect(conn)
        self.send(conn, HELLO)
        self.ask(conn, events.Nick(nick), events.Join("hall"))

    def page(self, after: str = "", limit: int | None = None) -> Members:
        """What bot is answered."""
        self.read(self.bot)
        self.ask(self.bot, events.Who("hall", after=after, limit=limit))
        [answer] = self.told(self.bot)
        assert isinstance(answer, Members)
        return answer


def in_order(nicks: list[str] | dict[str, int]) -> list[str]:
    return sorted(nicks, key=lambda nick: name(nick).key)


def test_a_page_has_the_next_people_by_name_and_says_whether_there_are_more() -> None:
    hall = Hall(*reversed(NICKS))
    everybody = in_order([*NICKS, "bot"])
    first = hall.page(limit=3)
    assert (first.nicks, first.more) == (tuple(everybody[:3]), True)
    second = hall.page(everybody[2], 5)
    assert (second.nicks, second.more) == (tuple(everybody[3:8]), False)
    assert (hall.page("яяя", 5).nicks, hall.page("яяя", 5).more) == ((), False)
    # All that come behind a name are a page as well, and of none is one.
    assert hall.page("bob").nicks == tuple(everybody[everybody.index("Bob") + 1 :])
    assert hall.page(limit=0).nicks == tuple(everybody[:1])


def test_without_a_page_all_are_told_in_the_order_of_coming() -> None:
    hall = Hall(*NICKS)
    answer = hall.page()
    assert (answer.nicks, answer.more) == (("bot", *NICKS), False)


def test_a_page_tells_of_its_own_people_who_moderates_and_who_is_away() -> None:
    hall = Hall("ada", "zoe")
    hall.ask(hall.bot, events.Role("hall", "zoe", "moderator"))
    for nick in ("ada", "zoe"):
        hall.ask(hall.there[nick], events.Away("tea"))
    assert hall.page().moderators == ("bot", "zoe")
    first, last = hall.page(limit=1), hall.page("bot")
    assert (first.nicks, first.moderators, first.away) == (("ada",), (), ("ada",))
    assert (last.nicks, last.moderators, last.away) == (("zoe",), ("zoe",), ("zoe",))


def test_a_guest_who_turns_out_to_own_its_nick_is_in_its_place() -> None:
    hall = Hall("gil", owned="")
    hall.page(limit=2)
    hall.grant("gil")
    hall.ask(hall.there["gil"], events.Login(TOKEN))
    assert hall.page(limit=2).nicks == ("bot", "gil")


def test_nobody_comes_behind_what_is_no_name() -> None:
    hall = Hall()
    hall.ask(hall.bot, events.Who("hall", after="a b"))
    [refused] = hall.told(hall.bot)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.request) == ("no-such-nick", "who")


def test_a_page_costs_what_it_has_and_not_what_the_room_has() -> None:
    many = MAX_PEOPLE * 3
    hall = Hall(*[f"p{number}" for number in range(many)])
    assert len(hall.page(limit=many).nicks) == MAX_PEOPLE
    slow = Hall(
        *[f"p{number}" for number in range(many)], limits=ServerLimits(flood_burst=5, flood_rate=1)
    )
    slow.wait(10_000)
    slow.read(slow.bot)
    slow.ask(slow.bot, *[events.Who("hall", limit=10)] * 6)
    assert len(slow.told(slow.bot)) == 5


@given(
    st.lists(st.sampled_from(NICKS), max_size=7, unique=True),
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from(NICKS), st.integers(0, 4)), max_size=12),
)
def test_who_is_there_all_the_time_is_in_one_page(
    nicks: list[str], limit: int, changes: list[tuple[str, int]]
) -> None:
    hall = Hall(*nicks)
    stayed, rest = set(hall.there), iter(changes)
    told: list[str] = []
    page = hall.page(limit=limit)
    for _ in range(20):
        told += page.nicks
        if not page.more:
            break
        for nick, what in [each for each in (next(rest, None),) if each is not None]:
            conn = hall.there.get(nick)
            stayed.discard(nick)
            if conn is None:
                hall.comes(nick)
            elif what == 0:
                hall.ask(conn, events.Out("hall"))
                del hall.there[nick]
            elif what == 1:
                hall.ask(conn, events.Quit())
                del hall.there[nick]
            elif what == 2:
                hall.ask(conn, events.Nick(f"{nick}-2"))
                hall.there[f"{nick}-2"] = hall.there.pop(nick)
            elif what == 3:
                hall.ask(conn, events.Login(TOKEN))
                hall.there = {each: at for each, at in hall.there.items() if at != conn}
            else:
                hall.ask(hall.bot, events.Kick("hall", nick))
                del hall.there[nick]
        assert [*hall.page(limit=MAX_PEOPLE).nicks] == in_order([*hall.page().nicks])
        page = hall.page(page.nicks[-1], limit)
    assert not page.more
    assert told == in_order(told)
    for nick in stayed:
        assert told.count(nick) == 1
    assert len(set(told)) == len(told)


def test_who_has_another_name_is_in_another_place() -> None:
    hall = Hall("ada", "carl")
    assert hall.page(limit=3).nicks == ("ada", "bot", "carl")
    hall.ask(hall.there["ada"], events.Nick("dan"))
    assert hall.page(limit=3).nicks == ("bot", "carl", "dan")
