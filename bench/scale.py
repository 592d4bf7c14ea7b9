"""What grows with the number of apps: 200 small ones run here, 5,000 as rows of state, names of nginx and nft elements.

The 200 have one instance each. Runs engines of its own in machines of namespaces. Usage, as root:

    .venv/bin/python bench/scale.py [APPS [MODELLED]]
"""

from __future__ import annotations

import functools
import http.client
import os
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scale_nginx import nginx_times

from paas.network import rules
from paas.network.nft import Nft
from paas.network.rules import Frame, NetworkState
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "measured"
COMMANDS = (("apps:list",), ("ps:report", APP), ("domains:report", APP), ("config:get", APP, "KEY"), ("ps:report",))
TURNS = 5
AT_ONCE = 10
Row = dict[str, float]
MODEL = """
* The model: one deployed app is stopped and copied as rows of the database (release, config, scale, properties, virtual
address), so that the engine, its commands and nginx have to do with all of them, and no container runs. Those of other
apps change nothing for one: memory is that of an app in the first table, and a start of the machine takes the time of
an app above, times as many; nft's is measured below with as many elements."""


def main(apps: int, modelled: int) -> None:
    counts = sorted({1, *(count for count in (50, 100) if count < apps), apps})
    rows: dict[str, Row] = {}
    with Machine() as machine:
        machine.engine_start()
        client = machine.client(admin=True)
        repository = first(client)
        filling = client.repository("filling", httpd("filling"))
        have = 1
        for count in counts:
            for number in range(have, count):
                filling.push(f"filling-{number}")
            have = count
            rows[f"{count}"] = costs(machine, client, repository)
            print(f"measured with {count} apps", file=sys.stderr)
        memory(machine, apps)
        pushes_at_once(machine, client)
        restarts(machine, apps)
    with Machine() as machine:
        machine.engine_start()
        client = machine.client(admin=True)
        repository = first(client)
        machine.engine_stop()
        copy_app(machine.data_dir / "paas.db", modelled - 1)
        took = seconds(functools.partial(machine.engine_start, timeout=600))
        rows[f"{modelled}*"] = costs(machine, client, repository)
        memory(machine, modelled)
        print(f"\nengine start with {modelled} apps as rows: {took:.1f} s")
    table(rows)
    print(MODEL)
    nft_times((1, 200, modelled))
    nginx_times((1, 200, modelled))


def first(client: Client) -> Repository:
    repository = client.repository(APP, httpd("0"))
    repository.push(APP)
    client.ssh("config:set", APP, "KEY=value")
    return repository


def costs(machine: Machine, client: Client, repository: Repository) -> Row:
    """Milliseconds by what is done, medians."""
    found: Row = {}
    numbers = iter(range(time.time_ns(), time.time_ns() + 1000))

    def push() -> None:
        repository.push(APP)

    def change() -> None:
        repository.commit({"index.html": f"{next(numbers)}\n"})

    found["git push of a change"] = median(push, before=change)
    found["ps:restart"] = median(lambda: machine.paas("ps:restart", APP))
    used = [cpu(machine)]

    def use(words: tuple[str, ...]) -> None:
        machine.paas(*words)
        used.append(cpu(machine))

    hosts = [f"h{next(numbers)}.example.com" for _ in range(TURNS + 1)]
    left = iter(hosts)
    found["domains:add (nginx swap)"] = median(lambda: use(("domains:add", APP, next(left))))
    found["  of the processor, with nginx"] = 1000 * (used[-1] - used[0]) / (len(used) - 1)
    machine.paas("domains:remove", APP, *hosts, check=False)
    for words in COMMANDS:
        found[" ".join(words)] = median(lambda words=words: machine.paas(*words))  # type: ignore[misc]
    return found


def cpu(machine: Machine) -> float:
    """Seconds of the processor that the engine and what it has started and seen end have taken."""
    fields = Path(f"/proc/{machine.engine_pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def median(run: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    times = []
    for _ in range(TURNS + 1):
        before()
        times.append(1000 * seconds(run))
    return statistics.median(times[1:])


def seconds(run: Callable[[], object]) -> float:
    mark = time.perf_counter()
    run()
    return time.perf_counter() - mark


def table(rows: dict[str, Row]) -> None:
    names = list(rows)
    columns = "".join(f"{name:>10}" for name in names)
    print(f"\n{'ms, median of ' + str(TURNS):32}{columns}{'ratio':>10}{'ratio*':>10}")
    live = [name for name in names if not name.endswith("*")]
    for what in rows[names[0]]:
        one = rows[names[0]][what]
        cells = "".join(f"{rows[name][what]:10.1f}" for name in names)
        print(f"{what:32}{cells}{rows[live[-1]][what] / one:10.2f}{rows[names[-1]][what] / one:10.2f}")


# -- memory -----------------------------------------------------------------------------------------------------------


def memory(machine: Machine, apps: int) -> None:
    """Proportional set sizes (/proc/PID/smaps_rollup) by program, of all processes of the machine."""
    found: dict[str, list[int]] = {}
    for pid in pids_of(machine):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            pss = next(
                int(line.split()[1])
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                if line.startswith("Pss:")
            )
        except (OSError, StopIteration):
            continue
        if b"paas" in words:
            name = f"paas {words[-2].decode()}"
        found.setdefault(name, []).append(pss)
    print(f"\n{'memory with ' + str(apps) + ' apps':32}{'processes':>10}{'PSS, MB':>10}{'kB an app':>10}")
    for name, sizes in sorted(found.items(), key=lambda item: -sum(item[1])):
        print(f"{name:32}{len(sizes):10}{sum(sizes) / 1024:10.1f}{sum(sizes) / apps:10.0f}")


def pids_of(machine: Machine) -> Iterable[int]:
    space = Path(f"/proc/{machine.engine_pid}/ns/net").readlink()
    mount = Path(f"/proc/{machine.engine_pid}/ns/uts").readlink()
    users = Path(f"/run/{machine.name}")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            mine = (entry / "ns/net").readlink() == space or (entry / "ns/uts").readlink() == mount
            if mine or machine.name in (entry / "cgroup").read_text() or str(users) in (entry / "cmdline").read_text():
                yield int(entry.name)
        except OSError:
            continue


# -- pushes at once ---------------------------------------------------------------------------------------------------


def pushes_at_once(machine: Machine, client: Client) -> None:
    """Ten pushes to ten apps together, while the app `measured` is asked without a pause."""
    repositories = [client.repository(f"together-{number}", httpd(f"{number}")) for number in range(AT_ONCE)]
    for number, repository in enumerate(repositories):
        repository.push(f"together-{number}")
        repository.commit({"index.html": "again\n"})
    alone = seconds(lambda: repositories[0].push("together-0"))
    repositories[0].commit({"index.html": "once more\n"})
    quiet = latencies(machine, lambda: time.sleep(3))
    times: list[float] = []

    def push(number: int) -> None:
        times.append(seconds(lambda: repositories[number].push(f"together-{number}")))

    def all_of_them() -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(push, range(AT_ONCE)))

    busy = latencies(machine, all_of_them)
    times.sort()
    print(f"\none push alone {1000 * alone:.0f} ms; {AT_ONCE} at once: first {1000 * times[0]:.0f} ms, ", end="")
    print(f"median {1000 * statistics.median(times):.0f}, last {1000 * times[-1]:.0f}: ", end="")
    print(f"last / first {times[-1] / times[0]:.2f}, last / alone {times[-1] / alone:.2f}")
    for name, (answered, failed, p50, p99) in (("quiet", quiet), ("ten pushes", busy)):
        print(
            f"requests meanwhile, {name:12}{answered:8} answered {failed:4} failed  p50 {p50:.2f} ms  p99 {p99:.2f} ms"
        )


def latencies(machine: Machine, during: Callable[[], object]) -> tuple[int, int, float, float]:
    """(answered, failed, p50 ms, p99 ms) of requests on one keep-alive connection while something is done."""
    times: list[float] = []
    failed = 0
    end = threading.Event()

    def ask() -> None:
        nonlocal failed
        connection = http.client.HTTPConnection(machine.address, 80, timeout=30)
        while not end.is_set():
            mark = time.perf_counter()
            try:
                connection.request("GET", "/", headers={"Host": f"{APP}.paas.test"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                failed += 1
                connection.close()
                continue
            failed += answer.status != 200
            times.append(1000 * (time.perf_counter() - mark))
            time.sleep(0.002)

    thread = threading.Thread(target=ask)
    thread.start()
    during()
    end.set()
    thread.join()
    times.sort()
    return len(times), failed, statistics.median(times), times[int(len(times) * 0.99)]


# -- restarts ---------------------------------------------------------------------------------------------------------


def restarts(machine: Machine, apps: int) -> None:
    machine.engine_stop()
    start = functools.partial(machine.engine_start, timeout=600)
    took = seconds(start)
    print(f"\nengine restarted, {apps} apps running: answers after {took:.1f} s")
    machine.engine_kill()
    took = seconds(start)
    print(f"engine killed and started, {apps} apps running: answers after {took:.1f} s")
    machine.engine_stop()
    machine.power_off()
    machine.boot()
    mark = time.perf_counter()
    start()
    answers = time.perf_counter() - mark
    names = machine.paas("--quiet", "apps:list").text.split()

    def all_serve() -> bool:
        while names and machine.get(names[-1]).status == 200:
            names.pop()
        return not names

    wait_until(all_serve, "all apps serve after the restart", 900)
    took = time.perf_counter() - mark
    print(f"machine restarted: engine answers after {answers:.1f} s, all apps serve after {took:.1f} s ", end="")
    print(f"({1000 * took / apps:.0f} ms an app)")


# -- the model --------------------------------------------------------------------------------------------------------


def copy_app(database: Path, count: int) -> None:
    """More apps like the first, stopped: each with its release, scale, config vars, domain and virtual address."""
    connection = sqlite3.connect(database)
    with connection:
        (app,) = connection.execute("SELECT id FROM apps WHERE name = ?", (APP,)).fetchone()
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name
            not in ("instances", "past_instances", "oneoffs", "services", "access", "domains", "events", "builds")
            and "app" in columns(connection, name)
        ]
        for number in range(count):
            connection.execute(
                "INSERT INTO apps (name, created, release, stopped, own_domains)"
                " SELECT ?, created, release, 1, own_domains FROM apps WHERE id = ?",
                (f"copy-{number}", app),
            )
            (id,) = connection.execute("SELECT last_insert_rowid()").fetchone()
            for table in tables:
                rest = ", ".join(name for name in columns(connection, table) if name != "app")
                connection.execute(
                    f"INSERT INTO {table} (app, {rest}) SELECT ?, {rest} FROM {table} WHERE app = ?", (id, app)
                )
            address = str(IPv4Address("10.87.64.0") + number)
            connection.execute("INSERT INTO services (address, app, process) VALUES (?, ?, 'web')", (address, id))
    connection.close()


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]


def nft_times(counts: Iterable[int]) -> None:
    """One table of this host, of a name of its own and without chains that hook: it sees no packet."""
    frame = Frame("paas-bench", "pbench", "10.86.0.0/16", "10.87.0.0/16", (18000, 18999), 4096)
    nft = Nft()
    print(f"\n{'nft, ms':32}{'apps':>10}{'whole':>10}{'switch':>10}")
    try:
        for count in counts:
            services = {
                IPv4Address("10.87.0.1") + number: {80: ((IPv4Address("10.86.0.1") + number, 5000),)}
                for number in range(count)
            }
            text = unhooked(rules.whole(frame, NetworkState(services=services)))
            whole = 1000 * statistics.median(seconds(functools.partial(nft.run, text)) for _ in range(3))
            address, before = next(iter(services.items()))
            after = {80: ((IPv4Address("10.86.200.1"), 5000),)}
            turns = [rules.set_service(frame, address, *pair) for pair in ((before, after), (after, before))] * 10
            switch = 1000 * statistics.median(seconds(functools.partial(nft.run, text)) for text in turns)
            print(f"{'':32}{count:10}{whole:10.1f}{switch:10.2f}")
    finally:
        nft.run("add table inet paas-bench\ndelete table inet paas-bench")


def unhooked(commands: str) -> str:
    return "\n".join(
        line
        for line in commands.splitlines()
        if not line.strip().startswith("type filter hook") and not line.strip().startswith("type nat hook")
    )


if __name__ == "__main__":
    main(int((sys.argv[1:2] or ["200"])[0]), int((sys.argv[2:3] or ["5000"])[0]))
