"""A server that nobody has given a domain: apps have a working address all the same."""

from __future__ import annotations

import re

from tests.harness.apps import httpd
from tests.machine import Machine


def test_a_push_says_where_the_app_is_and_it_is_there() -> None:
    with Machine({"domain": ""}) as machine:
        machine.engine_start()
        client = machine.client(admin=True)
        repository = client.repository("plain", httpd("here"))
        said = repository.push("plain").error
        found = re.search(r"Application deployed: http://(\S+)", said)
        assert found is not None, said
        hostname = found[1]
        assert hostname == f"plain.{machine.address.replace('.', '-')}.sslip.io", "its resolver answers the address"
        assert "No domain is set" in said and "domains:set plain HOSTNAME" in said
        assert machine.get(hostname).text == "here\n"
        assert client.ssh("urls", "plain").text == f"http://{hostname}\n"
        client.ssh("domains:set-global", "apps.example.com")
        assert "No domain is set" not in client.ssh("ps:rebuild", "plain").text
        assert machine.get("plain.apps.example.com").text == "here\n"
