"""The runtime itself as the target: its program, its open files, what it does while it enters a container."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.runtime.conmon import CRUN
from tests.conftest import BASE_IMAGE
from tests.harness.waiting import wait_until
from tests.machine import Machine

_PROGRAMS = (CRUN, "/usr/bin/conmon", "/usr/bin/catatonit")
_WATCHER = r"""
$| = 1;
print "ready\n";
my $end = time + 60;
while (time < $end && !-e "/stop") {
    for my $p (glob "/proc/[0-9]*") {
        my $exe = readlink "$p/exe";
        next if $p eq "/proc/$$" || $p eq "/proc/1" || !defined $exe;
        next if $exe =~ m{^/usr/bin/(sleep|perl|dash|true|touch)$};
        $seen{"exe $exe"}++;
        if (open my $f, "+<", "$p/exe") { $seen{"WRITABLE $exe"}++ }
        for my $fd (glob "$p/fd/*") {
            next if (readlink($fd) // "") =~ m{^(pipe:|/dev/null|socket:|anon_inode:|/dev/pts/)};
            open(my $f, "<", $fd) or next;  # what we hold now: the descriptor may be another one already
            my $held = "/proc/$$/fd/" . fileno $f;
            my $to = readlink $held;
            next if $to =~ m{^(pipe:|/dev/null|socket:|anon_inode:|/dev/pts/)};
            my ($there, $here) = map { my @s = stat; @s ? "$s[0]:$s[1]" : "" } $held, $to;
            next if $there && $there eq $here;  # a file of the container's own
            $seen{"FD $to"}++;
            $seen{"WRITABLE $to"}++ if open(my $w, "+<", $held);
        }
        $seen{"ROOT $exe"}++ if -e "$p/root$ARGV[0]";
    }
}
print "$_\n" for sort keys %seen;
"""


def _digests() -> list[str]:
    return [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in _PROGRAMS]


@pytest.fixture
def container(machine: Machine) -> Iterator[str]:
    machine.paas("run", "-d", "--name", "lair", BASE_IMAGE, "sleep", "600")
    yield "lair"
    machine.paas("rm", "-f", "lair")


def test_what_can_be_grasped_of_the_runtime_as_it_enters(machine: Machine, container: str) -> None:
    """The way of CVE-2019-5736 and CVE-2024-21626: somebody inside waits for the runtime, for its program and files."""
    secret = machine.disk / "secret"
    secret.write_text("secret")
    machine.paas("cp", "-", f"{container}:/", input=_tar_of("watch", _WATCHER))
    before = _digests()
    machine.paas("exec", container, "sh", "-c", f"perl /watch {secret} >/seen 2>&1 &")
    wait_until(lambda: "ready" in machine.paas("exec", container, "sh", "-c", "head -n 1 /seen").text, "it watches")
    for _ in range(8):
        machine.paas("exec", container, "true")
        machine.paas("exec", container, "/proc/self/exe", check=False)
    machine.paas("exec", container, "touch", "/stop")

    def seen() -> str:
        return machine.paas("exec", container, "sh", "-c", "ps=1; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | "
                            "grep -q '^perl /watch' && exit 1; done; cat /seen", check=False).text  # fmt: skip

    lines = wait_until(seen, "it has ended").splitlines()
    assert not [line for line in lines if line.startswith(("WRITABLE", "FD", "ROOT"))], lines
    assert _digests() == before


def test_the_runtime_as_the_program(machine: Machine) -> None:
    before = _digests()
    grasp = "perl -e 'print qq(OPEN $ARGV[0]\\n) if open my $f, q(+<), $ARGV[0]'"
    script = f"{grasp} /dev/init; {grasp} /proc/1/exe"
    done = machine.paas(
        "run", "--rm", "--init", BASE_IMAGE, "sh", "-c", f"{script}; echo x >/dev/init; mv /dev/init /x", check=False
    )
    assert "OPEN /dev/init" not in done.text and "OPEN /proc/1/exe" not in done.text
    for word in ("/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3"):
        machine.paas("run", "--rm", BASE_IMAGE, word, check=False, timeout=20)
    assert _digests() == before


def test_a_working_directory_that_is_an_open_file_of_the_runtime(machine: Machine, container: str) -> None:
    """CVE-2024-21626: -w /proc/self/fd/N, and the same by a link of the image."""
    marker = machine.disk / "secret"
    marker.write_text("secret")
    look = (
        f"ls -d ../../../../../../../../../..{marker} ..{marker} .{marker} ./engine ./bundles ./crun 2>/dev/null; true"
    )
    for number in range(3, 16):
        done = machine.paas("exec", "-w", f"/proc/self/fd/{number}", container, "sh", "-c", look, check=False)
        assert not done.text.strip(), number
    for number in (3, 7, 8, 9, 10):
        done = machine.paas("run", "--rm", "-w", f"/proc/self/fd/{number}", BASE_IMAGE, "sh", "-c", look, check=False)
        assert not done.text.strip(), number
    machine.paas("exec", container, "ln", "-s", "/proc/self/fd/8", "/way")
    assert not machine.paas("exec", "-w", "/way", container, "sh", "-c", look, check=False).text.strip()


def _tar_of(name: str, text: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(text), 0o755
        tar.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()
