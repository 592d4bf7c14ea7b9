"""As tight as podman's default, line by line: what a process in a container can see of its own confinement.

The table is what Debian 12's podman 4.3.1 (crun 1.8.1, root, cgroupfs manager, no default_ulimits) gave on Linux 6.18
to `podman run --rm --network=none IMAGE` of the same image; where podman is installed it is asked as well.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from paas.system import run as system
from tests.conftest import BASE_IMAGE
from tests.containment.probes import NUMBERS
from tests.harness.peers import Peers
from tests.machine import Machine

_LOOK = r"""
echo '[status]'; cat /proc/self/status
echo '[mounts]'; cat /proc/self/mountinfo
echo '[devices]'; for f in /dev/*; do echo "${f#/dev/} $(stat -c %F $f | cut -c 1)"; done
echo '[limits]'; cat /proc/self/limits
echo '[map]'; cat /proc/self/uid_map
echo '[writable]'; find /proc -maxdepth 1 -type f -perm /222 2>/dev/null |
    while read f; do perl -e 'print "$ARGV[0]\n" if open my $h, "+<", $ARGV[0]' $f; done
echo '[calls]'; perl -e 'while (@ARGV) { my ($name, $number) = splice @ARGV, 0, 2; my @a = (-1, -1, -1, -1, -1, -1);
    $r = syscall($number, @a); print "$name ", $r == -1 ? $! + 0 : 0, "\n" }' CALLS
"""
_CALLS = sorted(NUMBERS.keys() - {"vhangup", "reboot", "clone", "clone3", "unshare", "personality", "capset"})
_REFUSED = {"1", "38"}


@dataclass(frozen=True, slots=True)
class Mount:
    target: str
    kind: str
    options: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """`capabilities` by set, as bit masks; `calls` -> errno of one that is given nonsense; `limits` -> hard limit."""

    capabilities: dict[str, int]
    no_new_privileges: bool
    seccomp: str
    mounts: dict[str, Mount]
    devices: frozenset[str]
    limits: dict[str, float]
    ids: int
    writable: frozenset[str]
    calls: dict[str, str]


def _look() -> str:
    return _LOOK.replace("CALLS", " ".join(f"{name} {NUMBERS[name]}" for name in _CALLS))


def _parse(text: str) -> Seen:
    parts = dict(re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", text, re.DOTALL | re.MULTILINE))
    status = dict(line.split(":\t", 1) for line in parts["status"].splitlines() if ":\t" in line)
    mounts = {}
    for line in parts["mounts"].splitlines():
        fields = line.split(" ")
        mounts[fields[4]] = Mount(fields[4], fields[fields.index("-") + 1], frozenset(fields[5].split(",")))
    limits = {}
    for line in parts["limits"].splitlines()[1:]:
        hard = line[47:].split()[0]
        limits[line[:26].strip()] = float("inf") if hard == "unlimited" else float(hard)
    return Seen(
        {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        status["NoNewPrivs"] == "1",
        status["Seccomp"],
        mounts,
        frozenset(parts["devices"].split("\n")) - {""},
        limits,
        sum(int(line.split()[2]) for line in parts["map"].splitlines()),
        frozenset(parts["writable"].split()),
        dict(line.split() for line in parts["calls"].splitlines()),
    )


_MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
           "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/fs/selinux", "/sys/dev/block")  # fmt: skip
_READ_ONLY = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def _of_the_table() -> Seen:
    """Podman's, as recorded."""
    mask = 0xA80425FB

    def mount(target: str, kind: str, options: str) -> tuple[str, Mount]:
        return target, Mount(target, kind, frozenset(options.split(",")))

    return Seen(
        {"CapInh": 0, "CapPrm": mask, "CapEff": mask, "CapBnd": mask, "CapAmb": 0},
        False,
        "2",
        dict(
            [
                mount("/", "overlay", "rw"),
                mount("/proc", "proc", "rw,nosuid,nodev,noexec"),
                mount("/dev", "tmpfs", "rw,nosuid,noexec"),
                mount("/sys", "sysfs", "ro,nosuid,nodev,noexec"),
                mount("/dev/pts", "devpts", "rw,nosuid,noexec"),
                mount("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec"),
                mount("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec"),
                mount("/etc/hosts", "tmpfs", "rw"),
                mount("/etc/hostname", "tmpfs", "rw"),
            ]
        ),
        frozenset(
            [
                *(f"{name} c" for name in ("full", "null", "random", "tty", "urandom", "zero")),
                *(f"{name} s" for name in ("core", "fd", "ptmx", "stderr", "stdin", "stdout")),
                *(f"{name} d" for name in ("mqueue", "pts", "shm")),
            ]
        ),
        {},
        0xFFFF_FFFF,
        frozenset(),
        dict.fromkeys(("keyctl", "bpf", "perf_event_open", "userfaultfd", "kexec_load", "init_module", "swapon"), "1"),
    )


@pytest.fixture(scope="module")
def ours(machine: Machine) -> Seen:
    return _parse(machine.paas("run", "--rm", "-i", BASE_IMAGE, "bash", "-s", input=_look().encode()).text)


@pytest.fixture(scope="module", params=["recorded", "live"])
def podman(request: pytest.FixtureRequest, machine: Machine, base_disk: object) -> Iterator[Seen]:
    if request.param == "recorded":
        yield _of_the_table()
        return
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    with Peers() as peers:
        root = machine.data_dir / "layers" / "1"
        system.run(["tar", "-C", str(root), "-cf", str(peers.top / "root.tar"), "."], timeout=120)
        peers.run("podman", "import", "--quiet", str(peers.top / "root.tar"), "base", timeout=300)
        (peers.top / "root.tar").unlink()
        words = ("podman", "run", "--rm", "-i", "--network=none", "base", "bash", "-s")
        yield _parse(peers.run(*words, input=_look().encode(), timeout=120).text)


def test_capabilities(ours: Seen, podman: Seen) -> None:
    for name, held in ours.capabilities.items():
        assert held & ~podman.capabilities[name] == 0, name


def test_filter_and_privileges(ours: Seen, podman: Seen) -> None:
    assert ours.seccomp == podman.seccomp == "2"
    assert ours.no_new_privileges >= podman.no_new_privileges


def test_owners(ours: Seen, podman: Seen) -> None:
    assert ours.ids == 65536 <= podman.ids


def test_mounts(ours: Seen, podman: Seen) -> None:
    """Each mount that both have is at least as restricted, and we have none that podman has not, but /dev/init."""
    for target, theirs in podman.mounts.items():
        if target in ours.mounts:
            bound = {"nosuid", "nodev", "noexec", "ro"} & theirs.options
            assert bound <= ours.mounts[target].options, target
    devices = {f"/dev/{name}" for name in ("null", "zero", "full", "tty", "random", "urandom")}
    hidden = {*_MASKED, *_READ_ONLY, "/sys/devices/virtual/powercap"}
    assert ours.mounts.keys() - podman.mounts.keys() - devices - hidden <= {"/etc/resolv.conf"}
    assert not [mount for mount in ours.mounts.values() if mount.kind.startswith("cgroup")]


def test_hidden_and_read_only_paths(machine: Machine, ours: Seen, podman: Seen) -> None:
    script = f"ls -d {' '.join((*_MASKED, *_READ_ONLY))} 2>/dev/null; true"
    present = machine.paas("run", "--rm", BASE_IMAGE, "sh", "-c", script)
    for path in present.text.split():
        assert path in ours.mounts and "ro" in ours.mounts[path].options, path


def test_devices(ours: Seen, podman: Seen) -> None:
    assert ours.devices <= podman.devices


def test_limits(ours: Seen, podman: Seen) -> None:
    for name in (
        "Max open files",
        "Max locked memory",
        "Max pending signals",
        "Max msgqueue size",
        "Max realtime priority",
    ):
        assert ours.limits[name] <= podman.limits.get(name, float("inf")), name


def test_files_of_the_kernel(ours: Seen, podman: Seen) -> None:
    assert not ours.writable - ours.mounts.keys()  # what is masked is /dev/null


def test_system_calls(ours: Seen, podman: Seen) -> None:
    """What podman's filter refuses, ours does too."""
    for name, answer in podman.calls.items():
        if answer in _REFUSED:
            assert ours.calls[name] in _REFUSED, (name, ours.calls[name])
