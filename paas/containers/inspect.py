"""A container as `docker inspect` describes it."""

from __future__ import annotations

from typing import Any

from paas.containers import model
from paas.containers.life import Life
from paas.containers.lookup import Found
from paas.containers.making import arguments
from paas.containers.parts import Parts
from paas.model import Mount, PortMap
from paas.state.containers import ALIVE, ContainerRow, State

_NEVER = "0001-01-01T00:00:00Z"


def description(found: Found, parts: Parts, life: Life) -> dict[str, Any]:
    """Docker's keys, as far as there is something to say under them."""
    return _of_row(found.row, parts, life) if found.row is not None else _of_app(found, parts)


def _of_row(row: ContainerRow, parts: Parts, life: Life) -> dict[str, Any]:
    options = model.loads(row.options)
    image = parts.images.image(row.image)
    config = image.config
    words = arguments(options, config)
    bindings = _bindings(row.ports)
    state: dict[str, Any] = {
        "Status": str(row.state),
        "Running": row.state in (State.RUNNING, State.PAUSED),
        "Paused": row.state is State.PAUSED,
        "Restarting": row.state is State.RESTARTING,
        "OOMKilled": row.oom,
        "Dead": False,
        "Pid": parts.runtime.pid(row.id) or 0,
        "ExitCode": row.exit_code or 0,
        "Error": row.error,
        "StartedAt": row.started or _NEVER,
        "FinishedAt": row.finished or _NEVER,
    }
    if row.health:
        failures, results = life.health.results(row.id)
        log = [{"Start": r.start, "End": r.end, "ExitCode": r.status, "Output": r.output} for r in results]
        state["Health"] = {"Status": row.health, "FailingStreak": failures, "Log": log}
    return {
        "Id": row.id,
        "Created": row.created,
        "Path": words[0],
        "Args": list(words[1:]),
        "State": state,
        "Image": row.image,
        "Name": f"/{row.name}",
        "RestartCount": row.restarts,
        "LogPath": str(parts.runtime.log_path(row.id)),
        "HostConfig": {
            "AutoRemove": options.remove,
            "Binds": [str(mount) for mount in options.mounts],
            "Capabilities": None if options.capabilities is None else list(options.capabilities),
            "Memory": options.memory or 0,
            "NanoCpus": round((options.cpus or 0) * 1e9),
            "NetworkMode": options.network,
            "PortBindings": bindings,
            "ReadonlyRootfs": options.read_only,
            "RestartPolicy": {"Name": options.restart.policy, "MaximumRetryCount": options.restart.most},
            "Init": options.init,
        },
        "Mounts": [_mount(mount, parts) for mount in options.mounts],
        "Config": {
            "Hostname": options.hostname or row.short_id,
            "User": config.user if options.user is None else options.user,
            "Tty": options.terminal,
            "OpenStdin": options.stdin,
            "Env": [f"{key}={value}" for key, value in {**config.env, **options.env}.items()],
            "Cmd": list(options.command or config.cmd or ()),
            "Entrypoint": list(config.entrypoint or ()) if options.entrypoint is None else [options.entrypoint],
            "Image": row.reference,
            "WorkingDir": options.workdir or config.workdir or "/",
            "Labels": {**config.labels, **options.labels},
            "Volumes": {volume: {} for volume in config.volumes},
            "ExposedPorts": {port: {} for port in config.exposed_ports},
            "StopSignal": config.stop_signal or "SIGTERM",
        },
        "NetworkSettings": {
            "IPAddress": str(row.address or "") if options.network == "own" else "",
            "Ports": bindings if row.state in ALIVE else {},
            "Networks": {options.network: {"IPAddress": str(row.address or "") if options.network == "own" else ""}},
        },
    }


def _of_app(found: Found, parts: Parts) -> dict[str, Any]:
    assert found.instance is not None
    row, instance = found.instance, found.instance.instance
    spec = parts.runtime.spec(found.id)
    words = [str(word) for word in spec.get("args") or ("",)]
    return {
        "Id": found.id,
        "Created": row.started,
        "Path": words[0],
        "Args": words[1:],
        "Name": f"/{found.name}",
        "RestartCount": row.restarts,
        "State": {
            "Status": str(instance.state),
            "Running": instance.state.up,
            "Pid": parts.runtime.pid(found.id) or 0,
            "StartedAt": row.started,
        },
        "LogPath": str(parts.runtime.log_path(found.id)),
        "Config": {
            "Hostname": spec.get("hostname"),
            "User": spec.get("user"),
            "WorkingDir": spec.get("cwd"),
            "Labels": {
                **spec.get("labels", {}),
                "app": str(instance.app),
                "process": str(instance.process),
                "release": str(instance.release),
            },
        },
        "NetworkSettings": {
            "IPAddress": str(instance.address),
            "Ports": {},
            "Networks": {"own": {"IPAddress": str(instance.address)}},
        },
    }


def _mount(mount: Mount, parts: Parts) -> dict[str, Any]:
    common = {"Source": str(mount.source), "Destination": mount.target, "RW": not mount.read_only}
    if name := parts.volumes.name_of(mount):
        return {"Type": "volume", "Name": name, "Driver": "local", **common}
    return {"Type": "bind", **common}


def _bindings(ports: tuple[PortMap, ...]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        entry = {"HostIp": port.address or "0.0.0.0", "HostPort": str(port.host)}
        found.setdefault(f"{port.container}/{port.scheme}", []).append(entry)
    return found
