"""The kinds of errors a user can meet; each carries its exit status and, where there is one, what to do next.

    PaasError
    ├── UsageError        the command line is wrong                       exit 2
    ├── InvalidInput      a name, value or file was refused               exit 1
    │   ├── CannotExecute a container's command cannot be run             exit 126, as in a shell
    │   └── NoSuchCommand a container has no such command                 exit 127
    ├── NotFound          what was named does not exist                   exit 1
    │   └── AppNotFound                                                   exit 20, as Dokku's tools expect
    ├── Conflict          the state of things forbids it right now        exit 1
    │   └── Taken         somebody else has it, who is not everybody's to know
    ├── Denied            this key may not do this                        exit 1
    ├── BuildFailed       a Dockerfile step failed                        exit 1
    ├── DeployFailed      a release did not become healthy                exit 1
    ├── Cancelled         the caller hung up or pressed Ctrl-C            exit 130
    └── SystemFailure     the machine refused something we need           exit 1
        ├── DiskFull      there is no room for it
        ├── Damaged       what is stored is not as it was written
        └── TooNew        the data belongs to a newer version             exit 78, as sysexits.h has it

Foreign errors (OSError, a tool's exit status) become one of these once, where they enter the program.
"""

from __future__ import annotations


class PaasError(Exception):
    """An error shown to the user as ` !     message`, then the hint; never as a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PaasError):
    exit_code = 2


class InvalidInput(PaasError):
    pass


class CannotExecute(InvalidInput):
    exit_code = 126


class NoSuchCommand(InvalidInput):
    exit_code = 127


class NotFound(PaasError):
    pass


class AppNotFound(NotFound):
    exit_code = 20


class Conflict(PaasError):
    pass


class Taken(Conflict):
    """`message` and `hint` do not name who has it; `named` and `named_hint` do, for those who may see the app `owner`
    (without one: for admins)."""

    def __init__(self, message: str, named: str, *, owner: str = "", hint: str, named_hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.named = named
        self.named_hint = named_hint or hint
        self.owner = owner


class Denied(PaasError):
    pass


class BuildFailed(PaasError):
    pass


class DeployFailed(PaasError):
    pass


class Cancelled(PaasError):
    exit_code = 130


class SystemFailure(PaasError):
    pass


ADVICE = "Make room, then try again: paas system:df shows what takes it, paas system:prune."
"""For a disk that is full."""


class DiskFull(SystemFailure):
    def __init__(self, message: str = "The disk is full", *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint or ADVICE)


class Damaged(SystemFailure):
    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint or "See what else is: paas system:check; --repair mends what it can.")


class TooNew(SystemFailure):
    exit_code = 78
