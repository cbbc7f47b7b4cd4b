"""Where what is told belongs: to which view, as a table of notices."""

from __future__ import annotations

from tcpchat_cli.terminal.unsent import Unsent
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.views import Views
from tcpchat_core import Notice, notices


def view_of(notice: Notice, views: Views, unsent: Unsent) -> View:
    """The view that a notice is told in; the current one for what belongs to none.

    One is opened by who comes into a room, and by who says the first words to somebody alone.
    Answers to what was asked are told where one looks.
    """
    match notice:
        case notices.Entered(room):
            return views.open_room(room)
        case notices.Told(nick, to=""):
            return views.open_direct(nick)
        case notices.Told(to=nick):
            return views.open_direct(nick)
        case notices.Sent(id=str(id)) if message := unsent.get(id):
            view = unsent.view_of(message, notice)
            view.is_mine = True
            return view
        case (
            notices.Said(room)
            | notices.TopicSet(room)
            | notices.Left(room)
            | notices.Restricted(room)
            | notices.Lifted(room)
            | notices.RoleSet(room)
            | notices.ModeSet(room)
            | notices.Redacted(room)
            | notices.Gap(room)
        ):
            return views.room(room) or views.current
        case _:
            return views.current


def views_of_change(notice: Notice, rooms: list[str], views: Views) -> list[View]:
    """The views in which a coming or going is told: of these rooms, and of what one says with it.

    Who is renamed takes that along.
    """
    its = [view for room in rooms if (view := views.room(room))]
    match notice:
        case notices.Renamed(old, new):
            views.rename(old, new)
            direct = views.direct(new)
        case notices.Gone(nick) | notices.AwaySet(nick) | notices.NameSet(nick):
            direct = views.direct(nick)
        case _:
            direct = None
    return [*its, direct] if direct else its
