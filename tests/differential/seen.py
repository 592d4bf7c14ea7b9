"""What an image comes to, in words that can be compared: its config and its files, whoever built it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FAILED = "build"
"""The field of a build that was refused; its value says why, and is not compared."""
_SHORT = 200
_XATTRS = ("security.capability", "user.")
_CHECK = {"Interval": 30_000_000_000, "Timeout": 30_000_000_000, "StartPeriod": 0, "Retries": 3}


def config_of(document: Mapping[str, Any]) -> dict[str, str]:
    """The fields of an image config (OCI's, or Docker's) as JSON, those that are not set left out."""
    config = document.get("config") or {}
    check = config.get("Healthcheck")
    fields = {
        "Env": config.get("Env"),
        "Cmd": config.get("Cmd"),
        "Entrypoint": config.get("Entrypoint"),
        "User": config.get("User"),
        "WorkingDir": config.get("WorkingDir") or "/",
        "ExposedPorts": sorted(config.get("ExposedPorts") or ()),
        "Labels": config.get("Labels"),
        "Volumes": sorted(config.get("Volumes") or ()),
        "StopSignal": config.get("StopSignal"),
        # No value and Docker's default mean the same to whoever runs it.
        "Healthcheck": check and {**_CHECK, **{key: value for key, value in check.items() if value}},
        "Shell": config.get("Shell"),
        "OnBuild": config.get("OnBuild"),
        "Author": document.get("author"),
    }
    return {name: json.dumps(value, sort_keys=True, ensure_ascii=False) for name, value in fields.items() if value}


def files_of(root: Path) -> dict[str, str]:
    """By path, `KIND MODE UID:GID`, then the content or target, the xattrs, and the names of the same file."""
    found: dict[str, str] = {}
    names: dict[tuple[int, int], list[str]] = {}
    top = os.fspath(root)
    found["/"] = _words(top, root.stat())
    for directory, folders, files in os.walk(top):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = f"{directory}/{name}"
            info = os.lstat(path)
            shown = os.fsencode(path.removeprefix(top)).decode("utf-8", "backslashreplace")
            found[shown] = _words(path, info)
            if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
                names.setdefault((info.st_dev, info.st_ino), []).append(shown)
    for group in names.values():
        for shown in group if len(group) > 1 else ():
            found[shown] += f" = {' '.join(group)}"
    return found


def _words(path: str, info: os.stat_result) -> str:
    owner = f"{info.st_uid}:{info.st_gid}"
    if stat.S_ISLNK(info.st_mode):
        return f"link {owner} {Path(path).readlink()}"
    mode = f"{stat.S_IMODE(info.st_mode):04o}"
    xattrs = "".join(
        f" {name}={os.getxattr(path, name)!r}"
        for name in sorted(os.listxattr(path, follow_symlinks=False))
        if name.startswith(_XATTRS)
    )
    if stat.S_ISDIR(info.st_mode):
        return f"dir {mode} {owner}{xattrs}"
    if stat.S_ISREG(info.st_mode):
        return f"file {mode} {owner} {_content(Path(path).read_bytes())}{xattrs}"
    kind = "fifo" if stat.S_ISFIFO(info.st_mode) else "special"
    return f"{kind} {mode} {owner}{xattrs}"


def _content(data: bytes) -> str:
    if len(data) > _SHORT:
        return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"
    return repr(data.decode("utf-8", "backslashreplace"))


def judge(fails: bool, instead: Mapping[str, str], here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """What is wrong with a pair of results; nothing, when they agree but for what is expected `instead` of theirs.

    `fails`: the build is to be refused. Where only the peer refuses it, `instead` is all there is to compare with;
    where only we are to refuse it, `instead` has the field FAILED.
    """
    ours, theirs = here.get(FAILED), there.get(FAILED)
    if fails or FAILED in instead:
        found = ["the builder built it"] if ours is None else []
        if (theirs is not None) == (FAILED in instead):
            found.append("the peer built it" if fails else f"the peer refused it, too: {theirs}")
        return found
    if ours is not None:
        return [f"the builder refused it: {ours}", f"the peer: {theirs or 'built it'}"]
    if theirs is not None and not instead:
        return [f"the peer refused it: {theirs}"]
    found = [f"{key} need not be told: the peer agrees" for key in instead if there.get(key, "") == instead[key]]
    expected = {key: value for key, value in {**(there if theirs is None else here), **instead}.items() if value}
    return found + [
        f"{key}: expected {expected.get(key, 'nothing')}, got {here.get(key, 'nothing')}"
        for key in sorted({*expected, *here})
        if expected.get(key) != here.get(key)
    ]
