"""What the state answers to what cannot be done."""

from __future__ import annotations

from typing import Final

from tcpchat_core.effects import Send
from tcpchat_core.notices import Notice, Reason, Rejected
from tcpchat_core.state.tables import Person

NO_ACCOUNT: Final = (
    "that is for who has an account; /claim CODE with a code of whoever runs this server"
)
# The same, whether there is such an account or not.
WRONG_PASSWORD: Final = "there is no such account, or that is not its password"  # noqa: S105 # a text
UNKNOWN_DEVICE: Final = "this device is not known, or not any more; ask for a code"
ACCOUNTS_ONLY: Final = (
    "only who has an account talks here; /claim CODE with a code of whoever runs this server"
)


def rejected(
    person: Person, reason: Reason, text: str, request: str, id: str | None = None
) -> Send[Notice]:
    """The answer to what cannot be done."""
    return Send(person.conn, Rejected(reason, text, request, id))


def not_in_room(request: str, room: str, id: str | None = None) -> Rejected:
    """The refusal of what only members may do."""
    return Rejected("not-in-room", f"you are not in {room}; /join {room} first", request, id)
