from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.errors import InvalidInput
from paas.image.passwd import User, resolve_user

PASSWD = """root:x:0:0:root:/root:/bin/bash
www-data:x:33:33::/var/www:/usr/sbin/nologin
app:x:1000:1001::/home/app:/bin/sh
homeless:x:1002:1002:::/bin/sh
broken:x:²:0::/:/bin/sh
far:x:100000:0::/:/bin/sh
short:x:1
odd:x:7:7::/a\0b:/bin/sh
"""
GROUP = """root:x:0:
adm:x:4:app,www-data
staff:x:50:nobody,app
app:x:1001:
broken:x:٣x:app
far:x:4000000000:app
"""


@pytest.fixture
def image(root: Path) -> Path:
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    return root


@pytest.mark.parametrize(
    ("spec", "user"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("root", User(0, 0, (0,), "/root")),
        ("www-data", User(33, 33, (33, 4), "/var/www")),
        ("33", User(33, 33, (33, 4), "/var/www")),
        ("app", User(1000, 1001, (1001, 4, 50), "/home/app")),
        ("app:", User(1000, 1001, (1001, 4, 50), "/home/app")),
        ("app:adm", User(1000, 4, (4,), "/home/app")),
        ("app:77", User(1000, 77, (77,), "/home/app")),
        ("4321", User(4321, 0, (0,), "/")),
        ("4321:8", User(4321, 8, (8,), "/")),
        (":adm", User(0, 4, (4,), "/root")),
        ("homeless", User(1002, 1002, (1002,), "/")),
    ],
)
def test_resolve(image: Path, spec: str, user: User) -> None:
    assert resolve_user(image, spec) == user


@pytest.mark.parametrize(
    "spec", ["nobody-here", "app:nothing", "65536", "99999999999", "root:65536", "broken", "far", "short", "odd", "٣"]
)
def test_refused(image: Path, spec: str) -> None:
    with pytest.raises(InvalidInput):
        resolve_user(image, spec)


def test_an_image_without_the_files(root: Path) -> None:
    assert resolve_user(root, "") == User(0, 0, (0,), "/root")
    assert resolve_user(root, "12:13") == User(12, 13, (13,), "/")
    with pytest.raises(InvalidInput, match="no user 'app'"):
        resolve_user(root, "app")


def test_the_hosts_own_files_are_not_read_through_a_symlink(root: Path) -> None:
    (root / "etc").symlink_to("/etc")
    with pytest.raises(InvalidInput):
        resolve_user(root, "daemon")


def test_an_image_whose_files_are_something_else(root: Path) -> None:
    (root / "etc/passwd").mkdir(parents=True)
    os.mkfifo(root / "etc/group")
    assert resolve_user(root, "12") == User(12, 0, (0,), "/")
    with pytest.raises(InvalidInput):
        resolve_user(root, "0:adm")
