"""The SSH port's socket, which the service manager keeps while no engine runs."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.listening import ssh_listener
from paas.errors import SystemFailure
from paas.paths import PROJECT
from paas.settings import Settings
from paas.setup.unit import UNIT_TEXT
from paas.system import run as system
from tests.conftest import MachineMaker
from tests.ssh.stub import free_port


class Manager:
    """Stores descriptors as systemd does, and hands them on. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self.stored: dict[str, int] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path)}

    def listen(self) -> None:
        """Take what has been told so far."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 4)
            except BlockingIOError:
                return
            self.told.append(data.decode())
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            if "FDSTOREREMOVE" in fields and (old := self.stored.pop(fields["FDNAME"], None)) is not None:
                os.close(old)
            for descriptor in descriptors:
                if fields["FDNAME"] in self.stored:  # systemd knows that it is the same one
                    os.close(descriptor)
                else:
                    self.stored[fields["FDNAME"]] = descriptor

    def close(self) -> None:
        for descriptor in self.stored.values():
            os.close(descriptor)
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def successor(manager: Manager, settings: Settings) -> str:
    """What an engine that is started with what is stored listens at, and whether connections wait there."""
    code = (
        "from paas.engine.listening import ssh_listener\n"
        "from paas.settings import load\n"
        "import os, select\n"
        "listener = ssh_listener(load())\n"
        "waits = bool(select.select([listener], [], [], 0)[0])\n"
        "print(listener.getsockname()[1], waits, os.get_inheritable(listener.fileno()))\n"
    )
    (kept,) = manager.stored.values()
    process = system.start(
        ["bash", "-c", f'LISTEN_PID=$$ exec "$@" 3<&{kept}', "bash", sys.executable, "-c", code],
        stdout=system.PIPE,
        stderr=2,
        env={
            **manager.environ,
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "ssh",
            "PYTHONPATH": str(PROJECT),
            "PAAS_SETTINGS": "/nonexistent",
            "PAAS_SSH_ADDRESS": settings.ssh_address,
            "PAAS_SSH_PORT": str(settings.ssh_port),
        },
        pass_fds=(kept,),
    )
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    manager.listen()
    return str(said.decode().strip())


def test_it_is_handed_on_with_who_waits(manager: Manager) -> None:
    settings = Settings(ssh_address="127.0.0.1", ssh_port=free_port())
    ssh_listener(settings, manager.environ).close()
    manager.listen()
    assert manager.told == ["FDSTORE=1\nFDNAME=ssh"]
    with socket.create_connection((settings.ssh_address, settings.ssh_port)):
        assert successor(manager, settings) == f"{settings.ssh_port} True False"
    assert "FileDescriptorStoreMax=" in UNIT_TEXT


@pytest.mark.parametrize("changed", ["port", "address"])
def test_it_is_let_go_when_the_settings_say_another(manager: Manager, changed: str) -> None:
    before = Settings(ssh_address="127.0.0.1", ssh_port=free_port())
    ssh_listener(before, manager.environ).close()
    manager.listen()
    after = Settings(
        ssh_address="127.0.0.1" if changed == "port" else "0.0.0.0",
        ssh_port=free_port() if changed == "port" else before.ssh_port,
    )
    assert successor(manager, after) == f"{after.ssh_port} False False"
    assert manager.told[1:] == ["FDSTOREREMOVE=1\nFDNAME=ssh", "FDSTORE=1\nFDNAME=ssh"]
    if changed == "port":
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((before.ssh_address, before.ssh_port))
    with socket.create_connection(("127.0.0.1", after.ssh_port)):
        pass


def test_what_is_meant_for_another_process_is_left_alone(manager: Manager) -> None:
    settings = Settings(ssh_address="127.0.0.1", ssh_port=free_port())
    with ssh_listener(settings, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}), pytest.raises(SystemFailure, match="is taken"):
        ssh_listener(settings, {})


def test_who_connects_between_two_engines_is_served(new_machine: MachineMaker) -> None:
    machine = new_machine(engine=False)
    manager = Manager(machine.disk / "notify")
    try:
        machine.engine_start(notify=manager.path)
        client = machine.client()
        assert client.ssh("version").status == 0
        manager.listen()
        assert machine.engine_stop() == 0
        ssh, *words = client.ssh_command("version")
        waiting = [system.start([ssh, "-o", "ConnectTimeout=60", *words], stderr=2) for _ in range(3)]
        with socket.create_connection((machine.address, machine.settings.ssh_port), timeout=5):
            machine.engine_start(notify=manager.path, kept=manager.stored["ssh"])
            assert [each.wait(60) for each in waiting] == [0, 0, 0]
        assert client.ssh("version").status == 0
        manager.listen()
        assert manager.told.count("READY=1") == 2 and list(manager.stored) == ["ssh"]
    finally:
        manager.close()
