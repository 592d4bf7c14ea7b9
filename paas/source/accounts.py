"""What this machine proves itself with to other git servers: logins (netrc), a deploy key, known host keys.

All of it belongs to the unprivileged account that git runs as, which alone may read it.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

from paas.errors import Conflict, InvalidInput, NotFound, SystemFailure
from paas.names import shown
from paas.source.remotes import Login
from paas.system import run as system
from paas.system.accounts import account
from paas.system.files import ensure_directory, write_atomic

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_KEYSCAN_TIMEOUT = 10


def host_name(text: str) -> str:
    """HOST in lower case. Raises InvalidInput."""
    name = text.lower()
    if not _HOST.fullmatch(name) or len(name) > 253:
        raise InvalidInput(f"{shown(text)} is not a host", hint="Example: git.example.com")
    return name


class Accounts:
    def __init__(self, directory: Path, user: str) -> None:
        self.directory = directory
        self._user = user
        self._lock = threading.Lock()

    @property
    def key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    # -- logins ---------------------------------------------------------------------------------------------------

    def logins(self) -> dict[str, Login]:
        """By host."""
        found = {}
        for line in self._read(".netrc").splitlines():
            words = line.split()
            if len(words) == 6 and words[::2] == ["machine", "login", "password"]:
                found[words[1]] = Login(words[3], words[5])
        return found

    def set_login(self, host: str, login: Login | None) -> bool:
        """Keep a login for a host, or forget it; whether anything changed. Raises InvalidInput."""
        if login is not None:
            netrc_line(host, login)
        with self._lock:
            before = self.logins()
            after = {name: known for name, known in before.items() if name != host}
            if login is not None:
                after[host] = login
            if after == before:
                return False
            self._write(".netrc", "".join(netrc_line(name, known) for name, known in sorted(after.items())))
        return True

    # -- ssh ------------------------------------------------------------------------------------------------------

    def public_key(self) -> str:
        """Raises NotFound while there is none."""
        text = self._read("id_ed25519.pub").strip()
        if not text:
            raise NotFound("This machine has no deploy key yet", hint="Make one: git:generate-deploy-key")
        return text

    def generate_key(self, comment: str) -> str:
        """Make the deploy key; returns its public half. Raises Conflict when there is one."""
        self._ensure()
        with self._lock:
            if self.key.exists():
                raise Conflict("There is a deploy key already", hint="git:public-key shows it; others may rely on it.")
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(self.key)]
            system.run(argv, user=self._user)
        return self.public_key()

    def allow_host(self, host: str, port: int = 22) -> list[str]:
        """Take the keys that a host shows now as its keys; returns their fingerprints. Raises NotFound."""
        argv = ["ssh-keyscan", "-T", str(_KEYSCAN_TIMEOUT), "-p", str(port), "-t", "ed25519,ecdsa,rsa", host]
        done = system.run(argv, user=self._user, timeout=_KEYSCAN_TIMEOUT * 4, check=False)
        keys = [line for line in done.text.splitlines() if line and not line.startswith("#")]
        if not keys:
            raise NotFound(f"{host} shows no ssh key on port {port}", hint="Is it up, and reached from here?")
        with self._lock:
            known = self._read("known_hosts").splitlines()
            of_others = [line for line in known if line.split(" ", 1)[0] != keys[0].split(" ", 1)[0]]
            self._write("known_hosts", "\n".join([*of_others, *sorted(keys)]) + "\n")
        shown_keys = system.run(["ssh-keygen", "-l", "-f", "-"], input=("\n".join(keys) + "\n").encode())
        return sorted(f"{words[1]} {words[-1]}" for words in map(str.split, shown_keys.text.splitlines()))

    # -- files ----------------------------------------------------------------------------------------------------

    def _ensure(self) -> None:
        ensure_directory(self.directory, mode=0o700, owner=account(self._user))

    def _read(self, name: str) -> str:
        path = self.directory / name
        try:
            return path.read_text()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise SystemFailure(f"{path} cannot be read: {error}") from error

    def _write(self, name: str, text: str) -> None:
        self._ensure()
        write_atomic(self.directory / name, text, mode=0o600, owner=account(self._user))


def netrc_line(host: str, login: Login) -> str:
    """One machine of a .netrc, the form that git's and curl's common library reads. Raises InvalidInput."""
    for what, word in (("user", login.user), ("password", login.password)):
        if not word or any(char.isspace() or not char.isprintable() for char in word) or word[0] in '"#':
            raise InvalidInput(
                f"The {what} has characters that .netrc has no room for", hint="Use a token: letters and digits."
            )
    return f"machine {host} login {login.user} password {login.password}\n"
