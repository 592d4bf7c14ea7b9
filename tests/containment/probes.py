"""Attempts on the walls of a container, as shell scripts that run in it, and what is to come of each.

Many of them run in one container, one after the other; each says what it got. The image is Debian's smallest: there is
bash and perl-base, no compiler. System calls are made by number with perl's `syscall`.
"""

# ruff: noqa: E501  a script is one line, whatever its length

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

EPERM, ENOSYS = 1, 38

_AMD64 = {
    "mount": 165, "umount2": 166, "pivot_root": 155, "unshare": 272, "setns": 308, "clone": 56, "clone3": 435,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "reboot": 169, "ptrace": 101,
    "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "io_uring_setup": 425, "open_by_handle_at": 304, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "swapon": 167, "swapoff": 168,
    "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305, "acct": 163, "quotactl": 179, "syslog": 103,
    "iopl": 172, "ioperm": 173, "personality": 135, "lookup_dcookie": 212, "nfsservctl": 180, "vhangup": 153,
    "sethostname": 170, "process_vm_readv": 310, "kcmp": 312, "move_pages": 279, "fanotify_init": 300,
    "process_madvise": 440, "pidfd_getfd": 438, "capset": 126,
}  # fmt: skip
_ARM64 = {
    "mount": 40, "umount2": 39, "pivot_root": 41, "unshare": 97, "setns": 268, "clone": 220, "clone3": 435,
    "init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104, "reboot": 142, "ptrace": 117,
    "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
    "io_uring_setup": 425, "open_by_handle_at": 265, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "swapon": 224, "swapoff": 225,
    "settimeofday": 170, "clock_settime": 112, "clock_adjtime": 266, "acct": 89, "quotactl": 60, "syslog": 116,
    "personality": 92, "lookup_dcookie": 18, "nfsservctl": 42, "vhangup": 58, "sethostname": 161,
    "process_vm_readv": 270, "kcmp": 272, "move_pages": 239, "fanotify_init": 262,
    "process_madvise": 440, "pidfd_getfd": 438, "capset": 91,
}  # fmt: skip
NUMBERS = {"x86_64": _AMD64, "aarch64": _ARM64}[platform.machine()]
"""System call numbers of this machine: arch/*/entry/syscalls, include/uapi/asm-generic/unistd.h."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe printed, both streams, and the status of its shell: 124 when it took too long."""

    status: int
    text: str


Verdict = Callable[[Outcome], bool]


@dataclass(frozen=True, slots=True)
class Probe:
    name: str
    script: str
    held: Verdict
    """Whether the wall held."""
    seconds: int = 5


def fails(outcome: Outcome) -> bool:
    """The command was refused: it neither succeeded nor hung."""
    return outcome.status not in (0, 124)


def says(pattern: str) -> Verdict:
    """The whole of what was printed is this."""
    return lambda outcome: re.fullmatch(pattern, outcome.text.strip(), re.DOTALL) is not None


def silent(outcome: Outcome) -> bool:
    return not outcome.text.strip()


def fails_at_once(outcome: Outcome) -> bool:
    """A connection was refused by the host, rather than sent on to who knows where."""
    return outcome.status == 1


def no_way(outcome: Outcome) -> bool:
    """A connection was refused, cannot be routed, or nothing answers."""
    return outcome.status != 0


def script(probes: Sequence[Probe], values: Mapping[str, str]) -> str:
    """One shell script that runs them all. `values` are variables that the probes use."""
    lines = [f"export {key}={shlex.quote(value)}" for key, value in values.items()]
    for probe in probes:
        run = f"timeout -s KILL {probe.seconds} bash -c {shlex.quote(probe.script)} </dev/null 2>&1"
        # 137 is what KILL leaves of a shell; 124 is what timeout itself would have said.
        lines += [f"printf '\\n@@ %s\\n' {probe.name}", run, "printf '\\n@> %s\\n' $?"]
    return "\n".join([*lines, "exit 0"])


def outcomes(text: str) -> dict[str, Outcome]:
    """What `script` printed, by the probes' names."""
    found = {}
    for match in re.finditer(r"^@@ (\S+)\n(.*?)\n@> (\d+)$", text, re.DOTALL | re.MULTILINE):
        status = int(match[3])
        found[match[1]] = Outcome(124 if status == 137 else status, match[2])
    return found


def syscall(name: str, *arguments: str) -> str:
    """A script that makes a system call and prints `0`, or the number of its error. Arguments are perl expressions."""
    # By way of an array: perl refuses to hand out the memory of its literals.
    program = f"@a = ({', '.join(arguments)}); $r = syscall({NUMBERS[name]}, @a); print $r == -1 ? $! + 0 : 0"
    return f"perl -e {shlex.quote(program)}"


def refused(name: str, *arguments: str, errors: Sequence[int] = (EPERM, ENOSYS)) -> Probe:
    """A system call that has to fail because it is not allowed, rather than for what it was given."""
    wanted = "|".join(map(str, errors))
    return Probe(f"syscall-{name}", syscall(name, *arguments), says(f"({wanted})"))


def _connect(address: str, port: str) -> str:
    return f"timeout 0.5 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"


_P = "pack('x16')"
_NEWUSER, _NEWNS, _NEWNET = "0x10000000", "0x20000", "0x40000000"

KERNEL = (
    refused("mount", "'tmpfs'", "'/mnt'", "'tmpfs'", "0", "0"),
    refused("umount2", "'/etc/hosts'", "2"),
    refused("pivot_root", "'/tmp'", "'/tmp'"),
    refused("open_tree", "-100", "'/'", "1"),
    refused("move_mount", "-1", "''", "-100", "'/mnt'", "4"),
    refused("fsopen", "'tmpfs'", "0"),
    refused("fsconfig", "-1", "0", "0", "0", "0"),
    refused("fsmount", "-1", "0", "0"),
    refused("fspick", "-100", "'/'", "0"),
    refused("mount_setattr", "-100", "'/'", "0", _P, "32"),
    refused("unshare", _NEWUSER),
    refused("setns", "0", "0"),
    refused("clone", f"{_NEWUSER} | 17", "0", "0", "0", "0"),
    refused("clone3", _P, "64", errors=(ENOSYS,)),
    refused("init_module", _P, "16", "''"),
    refused("finit_module", "0", "''", "0"),
    refused("delete_module", "'x'", "0"),
    refused("kexec_load", "0", "0", "0", "0"),
    refused("reboot", "0xfee1dead", "672274793", "0", "0"),
    refused("keyctl", "0", "-3", "0", "0", "0"),
    refused("add_key", "'user'", "'x'", "'y'", "1", "-3"),
    refused("request_key", "'user'", "'x'", "0", "-3"),
    refused("bpf", "0", _P, "16"),
    refused("perf_event_open", _P, "0", "-1", "-1", "0"),
    refused("userfaultfd", "0"),
    refused("io_uring_setup", "1", _P),
    refused("open_by_handle_at", "3", _P, "0"),
    refused("swapon", "'/x'", "0"),
    refused("swapoff", "'/x'"),
    refused("settimeofday", _P, "0"),
    refused("clock_settime", "0", _P),
    refused("acct", "'/x'"),
    refused("quotactl", "0", "'/'", "0", "0"),
    refused("syslog", "3", _P, "16"),
    refused("lookup_dcookie", "0", _P, "16"),
    refused("vhangup"),
    refused("sethostname", "'x'", "1"),
    refused("fanotify_init", "0", "0"),
    refused("kcmp", "1", "1", "0", "0", "0"),
    refused("move_pages", "1", "0", "0", "0", "0", "0"),
    refused("personality", "0x0040000"),
    Probe("new-user-namespace", "unshare -U true", fails),
    Probe("new-mount-namespace", "unshare -m true", fails),
    Probe("new-network-namespace", "unshare -n true", fails),
    Probe("enter-own-namespaces-again", "nsenter -t 1 -m -n true", fails),
    *(refused(name, *(["3"] if name == "iopl" else ["0", "1", "1"])) for name in ("iopl", "ioperm") if name in NUMBERS),
)

FILES = (
    Probe(
        "kernel-settings",
        "for f in kernel/core_pattern kernel/modprobe kernel/hostname kernel/panic vm/overcommit_memory "
        "net/ipv4/ip_forward net/ipv4/conf/all/route_localnet fs/file-max; do "
        '(printf %s "$(cat /proc/sys/$f)" >/proc/sys/$f) 2>/dev/null && echo $f; done',
        silent,
    ),
    Probe(
        "every-kernel-setting",
        'find /proc/sys -type f -writable -exec perl -e \'for (@ARGV) { print "$_\\n" if open my $f, "+<", $_ }\' {} +',
        silent,
    ),
    Probe("sysrq", "echo h >/proc/sysrq-trigger", fails),
    Probe("remount-proc-sys", "mount -o remount,rw /proc/sys", fails),
    Probe("remount-sys", "mount -o remount,rw /sys", fails),
    Probe(
        "write-to-sys",
        'find /sys -type f -perm /222 2>/dev/null | head -n 400 | perl -ne \'chomp; print "$_\\n" if open my $f, "+<", $_\'',
        silent,
    ),
    Probe("uevent-helper", "echo /x >/sys/kernel/uevent_helper", fails),
    Probe("kernel-memory", "head -c 1 /proc/kcore /dev/mem /dev/kmem /dev/port 2>/dev/null", silent),
    Probe("kernel-log", "head -c 1 /dev/kmsg || head -c 1 /proc/kmsg || dmesg", fails),
    Probe("kernel-addresses", "grep -vm 1 '^0000000000000000 ' /proc/kallsyms", silent),
    Probe(
        "masked-files",
        "cat /proc/keys /proc/timer_list /proc/latency_stats /proc/sched_debug /proc/timer_stats 2>/dev/null",
        silent,
    ),
    Probe(
        "masked-directories",
        "ls -A /proc/acpi /proc/scsi /sys/firmware /sys/dev/block /sys/devices/virtual/powercap 2>/dev/null | grep -v ':$' | grep .",
        fails,
    ),
    Probe("unmask", "umount /sys/firmware || umount /proc/keys || umount /proc/sys", fails),
    Probe("cgroup-tree", "mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/*/x", fails),
    Probe(
        "cgroup-mount",
        "mkdir -p /tmp/cg; for t in 'cgroup -o rdma' 'cgroup -o memory' cgroup2; do mount -t $t x /tmp/cg && exit 0; done; exit 1",
        fails,
    ),
    Probe(
        "release-agent",
        "find / -xdev -name release_agent -o -name cgroup.procs 2>/dev/null; grep -c cgroup /proc/self/mountinfo | grep -v '^0$'",
        silent,
    ),
    Probe("cgroup-path-hidden", "sed 's/^[^:]*:[^:]*://' /proc/self/cgroup | sort -u", says("/")),
    Probe(
        "block-devices",
        "for n in '8 0' '254 0' '259 0' '7 0' '253 0'; do mknod /tmp/d b $n && head -c 1 /tmp/d && echo READ; rm -f /tmp/d; done 2>/dev/null",
        silent,
    ),
    Probe(
        "character-devices",
        "for n in '1 1' '1 2' '1 4' '1 11' '10 229' '10 200' '5 1' '4 0' '10 237'; do mknod /tmp/d c $n && head -c 1 /tmp/d && echo READ; rm -f /tmp/d; done 2>/dev/null",
        silent,
    ),
    Probe(
        "devices-of-the-host",
        "ls -A /dev | sort | tr '\\n' ' '",
        says("(console )?core fd full (init )?mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"),
    ),
    Probe("terminals-of-the-host", "ls -A /dev/pts | grep -vx -e ptmx -e 0", fails),
    Probe("fuse", "head -c 1 /dev/fuse; mount -t fuse x /mnt -o fd=3,rootmode=40000,user_id=0,group_id=0", fails),
    Probe("files-of-the-host", "ls -d $HOST_FILES 2>/dev/null", silent),
    Probe(
        "the-host-by-links",
        "for p in 1 self thread-self; do ls /proc/$p/root/proc/1/root/ | grep -x work; ls -d /proc/$p/cwd/$HOST_FILE; done 2>/dev/null",
        silent,
    ),
    Probe(
        "open-files",
        "for f in /proc/self/fd/*; do t=$(readlink $f); case $t in /proc/*/fd|/dev/null|pipe:*|/dev/pts/*|/dev/fd/*) ;; '') ;; *) echo $t;; esac; done",
        silent,
    ),
    Probe(
        "open-files-of-the-first",
        "ls -l /proc/1/fd | sed -n 's/.*-> //p' | grep -v -e '^pipe:' -e '^/dev/null$' -e '^/dev/pts/' -e 'signalfd'",
        fails,
    ),
    Probe(
        "chroot-out",
        'perl -e \'mkdir "/tmp/j"; chroot "/tmp/j"; chdir ".." for 1..64; chroot "."; exec "/bin/ls", "-d", "/$ENV{HOST_FILE}"\'',
        fails,
    ),
    Probe("handles", syscall("open_by_handle_at", "3", "pack('LLLL', 8, 1, 2, 0)", "0"), says("1")),
    Probe(
        "other-processes",
        "for p in /proc/[0-9]*; do readlink $p/exe; done | sort -u | grep -v -x -e /usr/bin/bash -e /usr/bin/perl -e /usr/bin/timeout -e /usr/bin/readlink -e /usr/bin/sort -e /usr/bin/grep -e /usr/bin/dash -e /dev/init",
        fails,
    ),
    Probe("parents-hidden", "grep PPid /proc/1/status | tr -d -c 0-9", says("0")),
    Probe(
        "runtime-of-the-first",
        'perl -e \'print "OPEN" if open my $f, "+<", "/proc/1/exe"\'; readlink /proc/1/exe | grep -e crun -e conmon',
        fails,
    ),
    Probe("links-of-mounts", "rm -f /etc/hosts || mv /etc/hosts /etc/h || ln /etc/hosts /tmp/h", fails),
)

PRIVILEGES = (
    Probe("no-new-privileges", "grep -h NoNewPrivs /proc/self/status | tr -d -c 0-9", says("1")),
    Probe(
        "setuid-program",
        'cp /usr/bin/id /tmp/suid; chmod 4755 /tmp/suid; perl -e \'$( = $) = "65534 65534"; $< = $> = 65534; exec "/tmp/suid", "-u"\'; rm -f /tmp/suid',
        says("65534"),
    ),
    Probe(
        "ids-beyond-the-range",
        'perl -e \'print "GOT" if eval { $> = 70000; $> == 70000 } || chown 70000, 70000, "/tmp"\'',
        silent,
    ),
    refused("capset", "pack('LL', 0x20080522, 0)", "pack('L6', (0xffffffff, 0xffffffff, 0) x 2)"),
    Probe("limits-raised", "ulimit -n $(($(ulimit -Hn) + 1)) || ulimit -l 1000000000", fails),
    Probe("priority-raised", "nice -n -5 grep -q '' /proc/self/status; nice -n -5 nice", says("(.*\n)?.*0")),
    Probe("less-likely-killed", "echo -500 >/proc/self/oom_score_adj", fails),
    Probe(
        "shared-memory-bounded",
        "dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>/dev/null; stat -c %s /dev/shm/x; rm -f /dev/shm/x",
        says("67108864"),
    ),
    Probe(
        "devices-directory-bounded",
        "dd if=/dev/zero of=/dev/x bs=1M count=100 2>/dev/null; stat -c %s /dev/x; rm -f /dev/x",
        says("67108864"),
    ),
    Probe("programs-in-memory", "cp /bin/true /dev/shm/t && /dev/shm/t", fails),
)

NETWORK = (
    Probe("gateway-ssh", _connect("169.254.1.1", "$SSH_PORT"), no_way),
    Probe("host-ssh", _connect("$HOST", "$SSH_PORT"), no_way),
    Probe("host-service", _connect("$HOST", "$PRIVATE_PORT"), no_way),
    Probe("gateway-service", _connect("169.254.1.1", "$PRIVATE_PORT"), no_way),
    Probe("own-loopback-is-own", _connect("127.0.0.1", "$PRIVATE_PORT"), no_way),
    Probe(
        "inner-proxy-ports",
        'for p in $PROXY_PORTS; do for h in $HOST 169.254.1.1; do timeout 0.2 bash -c "exec 3<>/dev/tcp/$h/$p" 2>/dev/null && echo $h:$p; done; done',
        silent,
    ),
    Probe("other-container", _connect("$VICTIM", "7000"), no_way),
    Probe("other-app-at-its-port", _connect("$OTHER_APP", "5000"), no_way),
    Probe("addresses-without-a-container", _connect("$NOBODY", "80"), fails_at_once),
    Probe(
        "other-app-at-its-virtual-address",
        'for n in $(seq 1 9); do timeout 0.2 bash -c "exec 3<>/dev/tcp/10.87.0.$n/5000" 2>/dev/null && echo 10.87.0.$n; done',
        silent,
    ),
    Probe("abstract-sockets", "grep -c @ /proc/net/unix", says("0")),
    Probe(
        "sockets-of-the-host",
        "cat /proc/net/tcp /proc/net/udp /proc/net/raw | awk '$4 == \"0A\" {print $2}' | grep -v -x -e 00000000:1388",
        fails,
    ),
    Probe("only-its-interfaces", "ls /sys/class/net | sort | tr '\\n' ' '", says("eth0 lo")),
    Probe(
        "no-ipv6-way",
        'perl -MSocket -e \'socket(S, AF_INET6, SOCK_DGRAM, 0) or exit 1; connect(S, pack_sockaddr_in6(53, Socket::inet_pton(AF_INET6, "2001:db8::1"))) or exit 1; print "ROUTED"\'',
        fails,
    ),
    Probe(
        "new-address",
        'perl -MSocket -e \'socket(S, AF_INET, SOCK_DGRAM, 0); ioctl(S, 0x8916, pack("a16 S n a4 x8", "eth0", 2, 0, inet_aton($ENV{VICTIM}))) or exit 1\'',
        fails,
    ),
    Probe(
        "promiscuous",
        'perl -MSocket -e \'socket(S, AF_INET, SOCK_DGRAM, 0); ioctl(S, 0x8914, pack("a16 S x14", "eth0", 0x1143)) or exit 1\'',
        fails,
    ),
    Probe(
        "route-to-loopback",
        'perl -MSocket -e \'socket(S, AF_INET, SOCK_DGRAM, 0); $a = sub { pack("S n a4 x8", 2, 0, inet_aton(shift)) }; ioctl(S, 0x890b, pack("x8") . $a->("127.0.0.1") . $a->("169.254.1.1") . $a->("255.255.255.255") . pack("S x46", 7)) or exit 1\'',
        fails,
    ),
    Probe(
        "netfilter",
        'perl -MSocket -e \'socket(S, 16, SOCK_RAW, 12) or exit 0; send(S, pack("LSSLL C C n", 20, 0xa01, 0x1, 1, 0, 0, 0, 0), 0); $_ = ""; recv(S, $_, 4096, 64); print "RULES" if length > 40\'',
        silent,
    ),
    Probe(
        "vsock",
        'perl -MSocket -e \'socket(S, 40, 1, 0) or exit 1; connect(S, pack("S S L L x4", 40, 0, 1024, 2)) or exit 1; print "CONNECTED"\'',
        fails,
    ),
    Probe("metadata", _connect("169.254.169.254", "80"), no_way),
)

ALL = (*KERNEL, *FILES, *PRIVILEGES, *NETWORK)
