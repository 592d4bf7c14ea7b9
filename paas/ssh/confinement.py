"""What the front door gives up before it gets its port: the file system, the network, all privileges.

It is started in namespaces of its own for mounts, processes and IPC. What is left to it, and to git below it:

    /usr and the libraries, the program itself     to read
    DATA/repos                                     to read and write, not to run anything from
    RUN/engine                                     the engine's socket
    /dev/null and the like, terminals, an empty /tmp
    connections that its port accepts              and no other network
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

from paas.errors import SystemFailure
from paas.paths import PROJECT, Paths
from paas.settings import Settings
from paas.system import mounts
from paas.system.accounts import account

_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("ld.so.cache", "localtime", "alternatives", "python3", "python3.11")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_SAFE = mounts.MS_NOSUID | mounts.MS_NODEV
_CLONE_NEWNET = 0x40000000
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)


def confine(settings: Settings) -> None:
    """Needs root, and a mount and a pid namespace that are this process's own. Raises SystemFailure."""
    identity = account(settings.user)
    root = settings.run_dir / "door"
    root.mkdir(mode=0o700, exist_ok=True)
    mounts.mount("tmpfs", root, "tmpfs", _SAFE | mounts.MS_NOEXEC, "mode=0755,size=1m")
    _show_system(root)
    _show_devices(root)
    _write_accounts(root, settings.user)
    paths = Paths(settings.data_dir, settings.run_dir)
    for directory in {PROJECT, Path(sys.prefix), Path(sys.base_prefix)} - {Path("/usr")}:
        _show(root, directory)
    _show(root, paths.repos, writable=True)
    _show(root, settings.socket.parent, writable=True)
    mounts.mount("proc", _made(root, Path("/proc")), "proc", _SAFE | mounts.MS_NOEXEC)
    mounts.mount("tmpfs", _made(root, Path("/tmp")), "tmpfs", _SAFE | mounts.MS_NOEXEC, "mode=1777,size=16m")
    mounts.mount("tmpfs", root, "tmpfs", mounts.MS_REMOUNT | _SAFE | mounts.MS_NOEXEC | mounts.MS_RDONLY)
    mounts.become_root(root)
    _check(_libc.unshare(_CLONE_NEWNET), "leave the network")
    _drop(*identity)


def _show_system(root: Path) -> None:
    for name in _SYSTEM:
        there = Path("/", name)
        if there.is_symlink():
            (root / name).symlink_to(there.readlink())
        elif there.is_dir():
            _show(root, there)
    for name in _ETC:
        there = Path("/etc", name)
        if there.exists():
            _show(root, there)


def _show_devices(root: Path) -> None:
    for name in _DEVICES:
        target = _made(root, Path("/dev", name), directory=False)
        mounts.bind(Path("/dev", name), target, flags=mounts.MS_NOSUID | mounts.MS_NOEXEC)
    options = "newinstance,ptmxmode=0666,mode=0620,gid=5"
    mounts.mount("devpts", _made(root, Path("/dev/pts")), "devpts", mounts.MS_NOSUID | mounts.MS_NOEXEC, options)
    (root / "dev/ptmx").symlink_to("pts/ptmx")


def _write_accounts(root: Path, user: str) -> None:
    """The two accounts that names are wanted of."""
    entry = pwd.getpwnam(user)
    (root / "etc/passwd").write_text(
        f"root:x:0:0::/nonexistent:/bin/false\n{user}:x:{entry.pw_uid}:{entry.pw_gid}::/nonexistent:/bin/false\n"
    )
    (root / "etc/group").write_text(f"root:x:0:\n{user}:x:{entry.pw_gid}:\n")


def _show(root: Path, path: Path, *, writable: bool = False) -> None:
    target = _made(root, path, directory=path.is_dir())
    mounts.bind(path, target, read_only=not writable, flags=_SAFE | (mounts.MS_NOEXEC if writable else 0))


def _made(root: Path, path: Path, *, directory: bool = True) -> Path:
    target = root / path.relative_to("/")
    (target if directory else target.parent).mkdir(mode=0o755, parents=True, exist_ok=True)
    if not directory:
        target.touch()
    return target


def _drop(uid: int, gid: int) -> None:
    """Become the account, with no capability and no way to one. Not dumpable: git below cannot read its memory."""
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
            _check(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), f"drop capability {capability}")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")


def _check(result: int, what: str) -> None:
    if result < 0:
        raise SystemFailure(f"The front door cannot {what}: {os.strerror(ctypes.get_errno())}")
