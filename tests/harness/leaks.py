"""What a machine has that its state does not know, and what its state says that is not so. Run inside the machine.

`assert_none(lambda: leaks(machine))` in tests; `python -m tests.harness.leaks` prints a line for each.
"""

from __future__ import annotations

import collections
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from paas.apps.certs import CURRENT
from paas.engine import orphans
from paas.model import WEB, InstanceState
from paas.paths import PROJECT, Paths
from paas.settings import Settings, load
from paas.state import apps, builds, containers, images, oneoffs, releases, services
from paas.state.database import Database
from paas.system import mounts
from paas.system.run import run
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from tests.machine import Machine

_SHARED_MOUNTS = 4
"""The run directory, the pins of the runtime's mount namespace and their directory, the program."""


def assert_none(look: Callable[[], list[str]], timeout: float = 20.0) -> None:
    """Wait until everything that was replaced is gone and the state agrees with what there is; `look` says what not."""
    last: list[str] = []

    def clean() -> bool:
        last[:] = look()
        return not last

    try:
        wait_until(clean, "nothing is left over", timeout)
    except AssertionError:
        raise AssertionError("left over:\n" + "\n".join(last)) from None


def leaks(machine: Machine) -> list[str]:
    """A line for each thing that should not be there, or is missing."""
    argv = [sys.executable, "-m", "tests.harness.leaks"]
    return machine.run(argv, env={"PYTHONPATH": str(PROJECT)}).text.splitlines()


def found(settings: Settings) -> Iterator[str]:
    """All of it; also what changes by itself within moments, such as instances that drain."""
    paths = Paths(settings.data_dir, settings.run_dir)
    db = Database(paths.database)
    try:
        yield from map(str, orphans.find(settings, paths, db))
        yield from _instances(paths, db)
        yield from _sandboxes(settings, paths, db)
        yield from _mounts(settings, paths)
        yield from _network(settings, db)
        yield from _nginx(paths)
        yield from _processes(paths, db)
        yield from _disk(paths, db)
    finally:
        db.close()


def _instances(paths: Paths, db: Database) -> Iterator[str]:
    for app in apps.listing(db):
        for release in releases.listing(db, app):
            if release.number > (app.release or 0):
                yield f"release {release.number} of {app.name} does not serve"
        current = releases.current(db, app)
        wanted = {f"{p.type}.{n}" for p in current.processes for n in range(1, p.count + 1)} if current else set()
        rows = releases.instances(db, app)
        if not app.stopped and sorted(row.instance.name for row in rows) != sorted(wanted):
            yield f"{app.name} has {[row.instance.name for row in rows]}, its release {sorted(wanted)}"
    for row in releases.instances(db):
        instance = row.instance
        if instance.state is not InstanceState.RUNNING:
            yield f"{instance.name} of {instance.app} is {instance.state}"
        elif not _runs(paths, instance.id):
            yield f"{instance.name} of {instance.app} does not run"
    for build in builds.listing(db):
        if build.status not in ("succeeded", "failed", "cancelled"):
            yield f"build {build.id} is {build.status}"


def _runs(paths: Paths, id: str) -> bool:
    try:
        pid = (paths.bundles / id / "started").read_text().split()[0]
    except OSError:
        return False
    return Path("/proc", pid).exists()


def _ids(db: Database) -> set[str]:
    running = {row.id for row in containers.listing(db) if row.state in ("running", "paused", "starting")}
    return {row.instance.id for row in releases.instances(db)} | {row.id for row in oneoffs.listing(db)} | running


def _sandboxes(settings: Settings, paths: Paths, db: Database) -> Iterator[str]:
    """Namespaces, address and range of uids of a container; with those kept ready."""
    have, want = len(list(paths.sandboxes.iterdir())), len(_ids(db)) + settings.ready_sandboxes
    if have != want:
        yield f"{have} sandboxes in place of {want}"


def _mounts(settings: Settings, paths: Paths) -> Iterator[str]:
    points = mounts.mount_points(paths.run)
    for point, count in collections.Counter(points).items():
        if count > 1:
            yield f"{count} mounts on {point}"
    others = [p for p in points if not p.is_relative_to(paths.bundles) and not p.is_relative_to(paths.sandboxes)]
    if len(others) > _SHARED_MOUNTS:
        yield f"mounts {' '.join(map(str, others))}"
    for point in points:
        if point.is_relative_to(paths.sandboxes) and not point.exists():
            yield f"mount {point}"
    yield from (f"mount {point}" for point in mounts.mount_points(paths.data))


def _network(settings: Settings, db: Database) -> Iterator[str]:
    """Elements of the table: virtual addresses lead to instances that serve, and there are no others."""
    table = json.loads(run(["nft", "--json", "list", "table", "inet", settings.nft_table]).text)["nftables"]
    maps = {entry["map"]["name"]: entry["map"].get("elem", []) for entry in table if "map" in entry}
    known = set(map(str, services.addresses(db).values()))
    for element in maps["services"]:
        address, port = element[0]["concat"]
        if address not in known:
            yield f"nft service {address}:{port}"
    running = {str(row.instance.address) for row in releases.instances(db)}
    chains = {entry["chain"]["name"] for entry in table if "chain" in entry}
    served = {f"s_{e[0]['concat'][0]}_{e[0]['concat'][1]}".replace(".", "_") for e in maps["services"]}
    yield from (f"nft chain {name}" for name in chains - served if name.startswith("s_"))
    for entry in table:
        if "rule" in entry and entry["rule"]["chain"].startswith("s_"):
            text = json.dumps(entry["rule"]["expr"])
            addresses = {word for word in text.replace('"', " ").split() if word.startswith("10.")}
            yield from (f"nft leads to {address}, which serves nothing" for address in addresses - running)
    for app in apps.listing(db):
        address = services.addresses(db).get((app.id, WEB))
        if app.release and not app.stopped and f"s_{address}_80".replace(".", "_") not in chains:
            yield f"nft leads nowhere for {app.name}"


def _nginx(paths: Paths) -> Iterator[str]:
    serving = json.loads((paths.run / "nginx" / "current").read_text())["generation"]
    for directory in (paths.run / "nginx").glob("g*"):
        if directory.name != f"g{serving}":
            yield f"nginx {directory.name}"


def _processes(paths: Paths, db: Database) -> Iterator[str]:
    """conmon, crun, nginx, git and helpers in this pid namespace that belong to nothing."""
    known, conmons, doors = _ids(db), collections.Counter[str](), 0
    serving = json.loads((paths.run / "nginx" / "current").read_text())["generation"]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        name = words[0].rpartition("/")[2]
        if state == "Z":
            yield f"process {entry.name} is a zombie"
        elif name == "conmon":
            conmons[words[words.index("--cid") + 1]] += 1
        elif name.startswith("nginx: master") and f"/nginx/g{serving} " not in words[0]:
            yield f"process {words[0]}"
        elif name == "unshare" and words[-3:-1] == ["paas", "ssh"]:
            doors += 1
        elif name in ("crun", "unshare", "cat", "git", "git-receive-pack", "nsenter"):
            yield f"process {' '.join(words)}"
    if doors != 1:
        yield f"{doors} front doors"
    yield from (f"conmon of {id}" for id in conmons.keys() - known)
    yield from (f"{count} conmons of {id}" for id, count in conmons.items() if count > 1)


def _disk(paths: Paths, db: Database) -> Iterator[str]:
    rows = {str(layer.number) for layer in images.layers(db)}
    present = {entry.name for entry in paths.layers.iterdir()} - {".empty"}
    yield from (f"layer {name} has no row" for name in present - rows)
    yield from (f"layer {name} is missing" for name in rows - present)
    for place in (paths.scratch, paths.run / "build", paths.run / "editing"):
        if place.is_dir():
            yield from (f"scratch {entry}" for entry in place.iterdir())
    yield from (f"half a volume {path}" for path in paths.storage.glob(".filling-*"))
    named = {apps.property(db, app.id, CURRENT) or "" for app in apps.listing(db)}
    held = {json.loads(text)["directory"] for text in named if text}
    yield from (f"certificate {path}" for path in paths.certificates.glob("*/*") if path.name not in held)
    yield from (f"temporary {path}" for path in paths.repos.glob("*/objects/tmp_objdir-*"))


if __name__ == "__main__":
    print("".join(f"{line}\n" for line in found(load())), end="")
