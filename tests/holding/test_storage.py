"""storage:*: by process type and phase, entries, and paths that containers would like to lead elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.model import Mount
from paas.state.database import Database
from tests.holding.conftest import APP, Held


def kept(held: Held) -> Path:
    return held.machine.data_dir / "storage"


def test_mounts_by_process_and_phase(held: Held) -> None:
    first, before = held.current(), held.ids()
    held.ssh("storage:mount", APP, "held-work:/work", "--process-type", "worker", "--phase", "deploy")
    after = held.ids()
    assert after["web.1"] == before["web.1"] and after["worker.1"] != before["worker.1"]
    held.inside("worker.1", "sh", "-c", "echo made >/work/file")
    assert (kept(held) / "held-work/file").read_text() == "made\n"
    held.ssh("storage:mount", APP, "held-work:/once:ro", "--phase", "run")
    assert held.ids() == after, "one-off containers have it, nothing is replaced"
    assert held.ssh(
        "run", APP, "sh", "-c", "cat /once/file; touch /once/x || echo no; ls /work || echo none"
    ).split() == [
        "made",
        "no",
        "none",
    ]
    listed = held.json("storage:list", APP)
    assert [(m["container_path"], m["volume_options"], m["phases"]) for m in listed] == [
        ("/once", "ro", ["run"]),
        ("/work", "", ["deploy"]),
    ]
    report = held.json("storage:report", APP)
    assert report["storage-deploy-mounts"].endswith("held-work:/work")
    held.ssh("storage:mount", APP, "held-web:/work", "--process-type", "web", "--phase", "deploy")
    assert "mounted there" in held.refused("storage:mount", APP, "other:/work")
    full = held.current()
    held.ssh("releases:rollback", APP, str(first))
    assert held.json("storage:list", APP) == []
    held.ssh("releases:rollback", APP, str(full))
    assert held.inside("worker.1", "cat", "/work/file") == "made\n"
    for word in ("held-work:/work", "held-work:/once", "held-web:/work"):
        held.ssh("storage:unmount", APP, word)
    assert held.json("storage:list", APP) == []
    held.refused("storage:unmount", APP, "held-work:/work")


def test_entries(held: Held) -> None:
    assert "Created" in held.ssh("storage:create", "held-pages", "--chown", "1000")
    held.refused("storage:create", "held-pages")
    held.refused("storage:create", "../x")
    assert "admin" in held.refused("storage:create", "held-etc", "/etc")
    assert (kept(held) / "held-pages").stat().st_uid == 1000
    held.ssh("storage:ensure-directory", "--chown", "herokuish", "held-more")
    assert (kept(held) / "held-more").stat().st_uid == 32767
    held.refused("storage:ensure-directory", "--chown", "70000", "held-more")
    held.refused("storage:ensure-directory", "/etc")
    assert "--container-dir" in held.refused("storage:mount", APP, "held-pages", status=2)
    held.ssh("storage:mount", APP, "held-pages", "--container-dir", "/pages", "--process-type", "web")
    assert held.inside("web.1", "stat", "-c", "%u", "/pages") == "1000\n"
    info = held.json("storage:info", "held-pages")
    assert info["mounts"] == [{"app": APP, "container_path": "/pages"}] and info["chown"] == "1000"
    assert "held-pages" in held.ssh("storage:list-entries")
    assert held.ssh("storage:exec", "held-pages", "sh", "-c", "echo here >it; pwd; cat it") == "/data\nhere\n"
    assert (kept(held) / "held-pages" / "it").read_text() == "here\n"
    held.refused("storage:exec", "held-none", "ls")
    assert "at once" in held.refused("storage:annotations:set", "held-pages", "a", "b", status=2)
    assert APP in held.refused("storage:destroy", "held-pages")
    held.refused("storage:mount", APP, "held-none", "--container-dir", "/x")
    held.ssh("storage:unmount", APP, "held-pages")
    assert "admin" in held.refused("storage:destroy", "held-pages", "--destroy-host-dir", "--force")
    held.ssh("storage:set", "held-pages", "--chown", "0")
    assert (kept(held) / "held-pages").stat().st_uid == 0
    forced = ("--destroy-host-dir", "--force")
    said = held.machine.paas("storage:destroy", "held-pages", *forced, check=False).error
    assert APP in said, "it can be rolled back to a release that has it"
    held.ssh("storage:destroy", "held-pages")
    assert (kept(held) / "held-pages").exists()
    held.ssh("storage:create", "held-unused")
    held.machine.paas("storage:destroy", "held-unused", *forced)
    assert not (kept(held) / "held-unused").exists()
    held.refused("storage:info", "held-pages")


def test_symlinks_of_containers_lead_nowhere_else(held: Held) -> None:
    held.ssh("storage:mount", APP, "held-trap:/trap", "--process-type", "worker", "--phase", "deploy")
    held.inside("worker.1", "sh", "-c", "ln -s /etc /trap/out; ln -s ../../../../etc /trap/up; mkdir /trap/in")
    for name in ("out", "up"):
        held.refused("storage:mount", APP, f"{kept(held)}/held-trap/{name}:/seen", "--phase", "run")
    held.inside("worker.1", "touch", "/trap/in/here")
    held.ssh("storage:mount", APP, "held-trap:/seen", "--volume-subpath", "in", "--phase", "run")
    assert held.ssh("run", APP, "ls", "/seen") == "here\n"
    held.refused("storage:mount", APP, "held-trap:/other", "--volume-subpath", "../x")
    held.ssh("storage:unmount", APP, f"{kept(held)}/held-trap/in:/seen")
    held.ssh("storage:unmount", APP, "held-trap:/trap")


@pytest.mark.parametrize(
    "words",
    [
        ("/etc:/host",),
        ("x:/proc",),
        ("x:relative",),
        ("x",),
        ("x:/y:rx",),
        ("x:/y", "--phase", "build"),
        ("x:/y", "--volume-options", "shared"),
        ("x:/y", "--volume-chown", "nobody"),
        ("x y\n:/y",),
        ("/:/y",),
    ],
)
def test_refused(held: Held, words: tuple[str, ...]) -> None:
    done = held.client.ssh("storage:mount", APP, *words, check=False)
    assert done.status in (1, 2), done.error
    assert held.json("storage:list", APP) == []
    held.refused("storage:mount", "missing-app", "x:/y", status=20)


def test_mounts_of_before(tmp_path: Path) -> None:
    """A release that was written before mounts knew of processes."""
    from paas.state.release_words import read_mounts

    assert read_mounts([["/srv/x", "/x", True]]) == (Mount(Path("/srv/x"), "/x", True),)
    Database(tmp_path / "paas.db").close()
