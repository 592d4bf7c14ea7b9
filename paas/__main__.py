"""`python -m paas serve | ssh | teardown | setup | upgrade | uninstall`: what runs by itself, not in the engine."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from paas import settings
from paas.errors import PaasError, UsageError

_USAGE = "Usage: python -m paas serve|ssh|teardown|setup|upgrade|uninstall"


def main(argv: list[str]) -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    try:
        return _run(argv)
    except PaasError as error:
        print(f" !     {error.message}", file=sys.stderr)  # noqa: T201
        if error.hint:
            print(f" !     {error.hint}", file=sys.stderr)  # noqa: T201
        return error.exit_code


def _run(argv: list[str]) -> int:
    if argv[:1] in (["setup"], ["upgrade"], ["uninstall"]):
        from paas.setup.main import main as on_the_host

        return on_the_host(argv)
    known = settings.load()
    match argv:
        case ["serve"]:
            from paas.engine.engine import Engine
            from paas.engine.watchdog import Watchdog
            from paas.system.lasterrors import LAST_ERRORS
            from paas.system.memory import keep_few_arenas
            from paas.system.notify import notify

            keep_few_arenas()
            logging.getLogger().addHandler(LAST_ERRORS)
            stop = threading.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            with Engine(known) as engine, Watchdog(engine.is_alive):
                notify("READY=1")
                stop.wait()
                notify("STOPPING=1")
            return 0
        case ["ssh"]:
            from paas.ssh.door import serve

            return serve(known)
        case ["system:check" | "system:restore" as command, *words]:
            from paas.engine.offline import main

            return main(command, words, known)
        case ["teardown"]:
            from paas.engine.teardown import teardown

            teardown(known)
            return 0
        case _:
            raise UsageError(_USAGE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
