"""Whether an engine keeps what it has taken in, by its own settings."""

from __future__ import annotations

from typing import Final

from tcpchat_net.logs.stream.commands import Commands

# What a setting has to be, so that nothing is lost that was acknowledged.
SAFE: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
}


def dangers(engine: Commands) -> tuple[str, ...]:
    """What is wrong with the settings of an engine, for people; connect it first."""
    found = {name: engine.setting(name) for name in SAFE}
    return tuple(
        f"it does not tell its {name}" if found[name] is None else f"{name} is {found[name]}"
        for name, safe in SAFE.items()
        if found[name] != safe
    )
