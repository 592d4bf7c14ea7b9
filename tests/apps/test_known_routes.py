"""Routes that are kept are those that would be made anew, whatever has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from paas.apps.certs import CURRENT, Certs
from paas.apps.domains import Domains
from paas.apps.edge import DOMAINS_DISABLED, MAINTENANCE, PROXY_DISABLED, REDIRECTIONS, EdgeSettings
from paas.apps.properties import Properties
from paas.deploy import edge
from paas.deploy.routing import Routing
from paas.errors import Taken
from paas.names import AppName, Hostname
from paas.network.network import Network
from paas.paths import Paths
from paas.proxy.proxy import Proxy
from paas.runtime.runtime import Runtime
from paas.schedulers.services import Services
from paas.settings import Settings
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database


class Parts:
    def __init__(self, place: Path) -> None:
        settings = Settings(data_dir=place, run_dir=place, domain="example.com")
        paths = Paths(place, place)
        self.db = Database(paths.database)
        edges = EdgeSettings(self.db, paths, place)
        self.domains = Domains(self.db, settings, "192.0.2.1", edges)
        services = Services(settings, self.db, cast(Network, None), cast(Runtime, None))
        properties = Properties(self.db, [*edge.PROPERTIES])
        nginx = cast(Proxy, None)
        self.routing = Routing(
            settings, self.db, self.domains, services, nginx, properties, edges, Certs(self.db, paths)
        )
        self.edges = edges
        self.made: list[str] = []
        """Apps whose route was made since this was emptied."""
        making = self.routing.route

        def counted(app: App) -> object:
            self.made.append(app.name)
            return making(app)

        self.routing.route = counted  # type: ignore[method-assign, assignment]

    def fresh(self) -> list[object]:
        listed = apps.listing(self.db)
        return [self.routing.route(app) for app in listed if self.edges.is_served(app)]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    found = Parts(tmp_path)
    for name in ("blog", "shop", "wiki"):
        apps.insert(found.db, AppName(name))
    return found


def test_only_what_has_changed_is_made_anew(parts: Parts) -> None:
    blog, shop, wiki = (apps.get(parts.db, name) for name in ("blog", "shop", "wiki"))
    certificate = json.dumps({"directory": "x", "hostnames": ["wiki.example.com"]})
    all_of_them = {"blog", "shop", "wiki"}
    db = parts.db
    steps: list[tuple[Callable[[], object], set[str]]] = [
        (lambda: None, all_of_them),
        (lambda: None, set()),
        (lambda: apps.set_own_domains(db, wiki.id, [Hostname("b.org"), Hostname("a.org")]), {"wiki"}),
        (lambda: apps.set_own_domains(db, wiki.id, [Hostname("a.org"), Hostname("b.org")]), {"wiki"}),
        # a name below the global domain that would be another app's: that one changes as well
        (lambda: apps.set_own_domains(db, wiki.id, [Hostname("shop.example.com")]), {"wiki", "shop"}),
        (lambda: apps.set_own_domains(db, wiki.id, None), {"wiki", "shop"}),
        (lambda: apps.set_property(db, wiki.id, "nginx:hsts", "false"), {"wiki"}),
        (lambda: apps.set_property(db, wiki.id, CURRENT, certificate), {"wiki"}),
        (lambda: apps.set_property(db, blog.id, MAINTENANCE, "1"), {"blog"}),
        (lambda: apps.set_property(db, blog.id, REDIRECTIONS, '[["old.org", "new.org", 301]]'), {"blog"}),
        (lambda: apps.set_property(db, blog.id, DOMAINS_DISABLED, "1"), {"blog"}),
        (lambda: apps.set_property(db, blog.id, PROXY_DISABLED, "1"), set()),
        (lambda: apps.set_property(db, apps.GLOBAL, "nginx:client-max-body-size", "1m"), {"shop", "wiki"}),
        (lambda: apps.set_global_domains(db, [Hostname("other.org")]), {"shop", "wiki"}),
        (lambda: apps.rename(db, shop.id, AppName("trade")), {"trade"}),
        (lambda: apps.delete(db, wiki.id), set()),
    ]
    for number, (change, touched) in enumerate(steps):
        change()
        for again in (False, True):  # an address is given on first use, which is a change
            parts.made = []
            kept = parts.routing.routes()
            assert again or set(parts.made) == touched, number
        assert parts.made == [] or number == 0
        assert kept == parts.fresh(), number


def test_a_hostname_is_found_with_whoever_has_it(parts: Parts) -> None:
    blog, shop, wiki = (apps.get(parts.db, name) for name in ("blog", "shop", "wiki"))
    dotted = apps.insert(parts.db, AppName("www.dotted.org"))
    apps.set_own_domains(parts.db, shop.id, [Hostname("shop.org")])
    apps.set_property(parts.db, blog.id, REDIRECTIONS, '[["old.org", "new.org", 301]]')
    for hostname, owner in {
        "blog.example.com": blog,
        "shop.org": shop,
        "old.org": blog,
        "www.dotted.org": dotted,
    }.items():
        parts.domains.check_free(owner, [Hostname(hostname)])
        with pytest.raises(Taken) as error:
            parts.domains.check_free(wiki, [Hostname("free.org"), Hostname(hostname)])
        assert error.value.owner == owner.name
    for free in ("shop.example.com", "example.com", "new.org", "*.example.com", "www.dotted.org.example.com"):
        parts.domains.check_free(wiki, [Hostname(free)])
