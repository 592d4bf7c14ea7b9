from __future__ import annotations

import pytest

from paas.image.config import dump_history, dumps, from_oci, load_history, loads, to_oci
from paas.model import Healthcheck, HistoryEntry, ImageConfig

FULL = ImageConfig(  # noqa: S604  SHELL of a Dockerfile
    env={"PATH": "/bin", "EQUALS": "a=b", "EMPTY": ""},
    cmd=("serve", "--all"),
    entrypoint=("/init",),
    user="app:adm",
    workdir="/srv",
    exposed_ports=("8080/tcp", "53/udp"),
    labels={"team": "blue"},
    volumes=("/data",),
    stop_signal="SIGQUIT",
    shell=("/bin/bash", "-c"),
    healthcheck=Healthcheck(("CMD", "true"), 1.5, 0.25, 10.0, 0.5, 5),
    onbuild=("RUN make",),
    author="somebody",
)


@pytest.mark.parametrize("config", [FULL, ImageConfig()])
def test_there_and_back(config: ImageConfig) -> None:
    assert loads(dumps(config)) == config
    assert dumps(loads(dumps(config))) == dumps(config)


def test_words_of_the_specification() -> None:
    assert to_oci(FULL) == {
        "User": "app:adm",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Env": ["PATH=/bin", "EQUALS=a=b", "EMPTY="],
        "Entrypoint": ["/init"],
        "Cmd": ["serve", "--all"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv",
        "Labels": {"team": "blue"},
        "StopSignal": "SIGQUIT",
        "Shell": ["/bin/bash", "-c"],
        "OnBuild": ["RUN make"],
        "Healthcheck": {
            "Test": ["CMD", "true"],
            "Interval": 1_500_000_000,
            "Timeout": 250_000_000,
            "StartPeriod": 10_000_000_000,
            "StartInterval": 500_000_000,
            "Retries": 5,
        },
    }
    assert to_oci(ImageConfig()) == {}


def test_nulls_of_other_tools() -> None:
    assert from_oci({"Env": None, "Cmd": None, "Labels": None, "Healthcheck": None, "User": None}) == ImageConfig()


def test_history() -> None:
    history = (HistoryEntry("2026-01-02T03:04:05Z", "RUN make"), HistoryEntry("", "CMD", empty_layer=True, comment="x"))
    assert load_history(dump_history(history)) == history
