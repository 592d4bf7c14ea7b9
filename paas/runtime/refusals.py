"""Docker's flags that containers here are not made with, and why not."""

from __future__ import annotations

_ROOT = "root in a container is to be nobody outside of it"
_OWN = "the namespaces of a container are its own"
_OURS = "paas itself sees to that for the containers of apps"
REFUSED: dict[str, str] = {
    "--privileged": _ROOT,
    "--device": f"{_ROOT}, and devices are the host's",
    "--device-cgroup-rule": f"{_ROOT}, and devices are the host's",
    "--gpus": "devices of the host are not given to containers",
    "--runtime": _ROOT,
    "--userns": _OWN,
    "--pid": _OWN,
    "--ipc": _OWN,
    "--uts": _OWN,
    "--cgroupns": _OWN,
    "--cgroup-parent": _OWN,
    "--sysctl": "settings of the kernel are the host's",
    "--oom-kill-disable": "a container without memory left would hang for good",
    "--oom-score-adj": "who is ended first when the host has no memory left is for the host to say",
    "--volumes-from": "name the directories: storage:mount",
    "--link": "apps reach each other over a network: network:create, network:set",
    "--network-alias": "apps reach each other as APP.PROCESS: network:set",
    "--ip": "addresses are given by paas and change with each deploy",
    "--publish": "use ports:add",
    "--publish-all": "use ports:add",
    "--expose": "use ports:add",
    "--env-file": "use config:import or config:set",
    "--log-driver": "use logs:set",
    "--log-opt": "use logs:set",
    "--health-cmd": "use app.json's healthchecks, or HEALTHCHECK in the Dockerfile",
    "--name": _OURS,
    "--rm": _OURS,
    "--detach": _OURS,
    "--interactive": _OURS,
    "--tty": _OURS,
    "--cidfile": _OURS,
    "--pull": _OURS,
    "--platform": _OURS,
}
"""Flag -> why not."""
