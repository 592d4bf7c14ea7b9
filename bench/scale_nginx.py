"""What an nginx with so many apps costs, in time of the processor: what else a machine does changes that little."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from paas.names import AppName, Hostname
from paas.paths import Paths
from paas.proxy import certificates
from paas.proxy.generations import Generations
from paas.proxy.isolation import digest_of
from paas.proxy.remembered import Texts
from paas.routes import Listen, Route
from paas.settings import Settings
from paas.system.files import ensure_directory


def nginx_times(counts: Iterable[int]) -> None:
    """For each count: paas's own part of a swap in which one app of all has changed, and nginx's, which reads all."""
    print(f"\n{'nginx, ms of processor time':32}{'apps':>10}{'paas':>10}{'nginx':>10}")
    for what in ("http", "https"):
        for count in counts:
            with tempfile.TemporaryDirectory(prefix="bench-nginx-") as place:
                ours, theirs = _swap(Path(place), count, secure=what == "https")
            print(f"{what:32}{count:10}{1000 * ours:10.1f}{1000 * theirs:10.0f}")


def _swap(place: Path, count: int, *, secure: bool) -> tuple[float, float]:
    """(seconds of ours, seconds of nginx)"""
    settings = Settings(data_dir=place, run_dir=place / "run", http_port=80, https_port=443)
    paths = Paths(settings.data_dir, settings.run_dir)
    generations, texts = Generations(settings, paths), Texts()
    generations.prepare()
    ensure_directory(paths.log / "nginx")
    routes = list(_routes(place, count, secure=secure))
    local = {80: 18000, 443: 18001}
    generations.write(routes, local)
    digest_of(routes, True, texts)
    routes[0] = replace(routes[0], hostnames=(Hostname("changed.example.com"),))
    mark = time.process_time()
    digest_of(routes, True, texts)
    generation = generations.write(routes, local)
    ours = time.process_time() - mark
    generation.test()  # the first makes the logs
    before = _children()
    generation.test()
    return ours, _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _routes(place: Path, count: int, *, secure: bool) -> Iterable[Route]:
    """Names of many lengths, as people give them; every certificate has a key of its own."""
    for number in range(count):
        name = AppName(f"app-{'x' * (number * 7919 % 31)}{number}")
        route = Route(name, (Hostname(f"{name}.example.com"),), IPv4Address("10.87.0.1") + number)
        if secure:
            made = certificates.generate([route.hostnames[0]])
            directory = place / "certs" / name
            directory.mkdir(parents=True)
            (directory / "server.crt").write_text(made.chain)
            (directory / "server.key").write_text(made.key)
            listens = (Listen("http", 80, 80, to_https=443), Listen("https", 443, 80))
            route = replace(route, listens=listens, certificate=directory, secure=route.hostnames)
        yield route
