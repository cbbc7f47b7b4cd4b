"""tcpchat-server: the console script."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys

from tcpchat_cli.stopping import end_at_once


def main() -> None:
    """Run the server until Ctrl-C or SIGTERM, or do what the first word says."""
    if sys.argv[1:] and not sys.argv[1].startswith("-"):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # also while the imports take their time
        from tcpchat_cli.tools import run as run_tool  # noqa: PLC0415 # see above

        run_tool(sys.argv[1:])
        return
    end_at_once()
    from tcpchat_cli import console  # noqa: PLC0415 # see above
    from tcpchat_cli.activation import (  # noqa: PLC0415
        ActivationError,
        at_its_address,
        given_listener,
    )
    from tcpchat_cli.arguments import die  # noqa: PLC0415
    from tcpchat_cli.notify import SERVICE  # noqa: PLC0415
    from tcpchat_cli.reloading import Own  # noqa: PLC0415
    from tcpchat_cli.settings import (  # noqa: PLC0415
        PROGRAM,
        SettingsError,
        read_configuration,
        usable,
    )

    console.open_missing_streams()
    read = read_configuration()
    if read.is_to_check:
        from tcpchat_cli.checking import check  # noqa: PLC0415 # see above

        check(read)
    try:
        configuration = usable(read)
    except SettingsError as error:
        die(PROGRAM, str(error))
    settings = configuration.settings
    console.set_up(settings.log_level, format=settings.log_format)
    for oddity in configuration.oddities:
        console.complain(oddity, about="environment")
    try:
        listener = given_listener(os.environ)
    except ActivationError as error:
        die(PROGRAM, str(error))
    SERVICE.connect(os.environ)
    if SERVICE.is_watched:  # whoever does not turn any more is ended by SIGABRT
        faulthandler.enable()  # … and says where it stood
    source = Own((lambda read: at_its_address(read, listener)) if listener else None)
    if listener is not None:
        settings = at_its_address(settings, listener)
    if settings.workers > 1:
        from tcpchat_cli.workers import supervise  # noqa: PLC0415 # it needs no gevent

        supervise(settings, source, listener)
    else:
        from tcpchat_cli.serving import run  # noqa: PLC0415 # see above

        run(settings, source, listener=listener)
