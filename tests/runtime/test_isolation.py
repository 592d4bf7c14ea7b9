"""What a container can see and do, and who owns what it writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.model import Mount
from paas.runtime.oci import CAPABILITIES

from .host import UID_BASE, Host, sandbox_of

_CAP_NUMBERS = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6,
    "CAP_SETUID": 7, "CAP_SETPCAP": 8, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_RAW": 13, "CAP_SYS_CHROOT": 18,
    "CAP_MKNOD": 27, "CAP_AUDIT_WRITE": 29, "CAP_SETFCAP": 31,
}  # fmt: skip
_MASK = sum(1 << _CAP_NUMBERS[name] for name in CAPABILITIES)


def _status(text: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_root_inside_is_nobody_outside(host: Host) -> None:
    id = host.boot("sleep", "60")
    base = sandbox_of(host, id).uid_base
    assert base >= UID_BASE
    pid = host.runtime.pid(id)
    assert _status(Path(f"/proc/{pid}/status").read_text())["Uid"].split() == [str(base)] * 4
    assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", str(base), "65536"]
    for kind in ("user", "net", "pid", "ipc", "uts", "mnt", "cgroup"):
        inside, outside = Path(f"/proc/{pid}/ns/{kind}").readlink(), Path(f"/proc/self/ns/{kind}").readlink()
        assert inside != outside, kind


def test_two_containers_share_no_ids(host: Host) -> None:
    first, second = (sandbox_of(host, host.boot("sleep", "60")).uid_base for _ in range(2))
    assert abs(first - second) >= 65536


# The second container gets the filter that was compiled for the first: both must refuse the same.
@pytest.mark.parametrize("containers", [1, 2])
def test_privileges(host: Host, containers: int) -> None:
    for _ in range(containers):
        status = _status(host.output("cat", "/proc/self/status"))
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == int(status["CapPrm"], 16) == _MASK
    assert int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


@pytest.mark.parametrize("containers", [1, 2])
def test_the_filter_refuses_and_allows(host: Host, containers: int) -> None:
    """personality(2) with ADDR_NO_RANDOMIZE needs no privilege: only the filter refuses it."""
    layer = host.paths.layers / "2"
    layer.mkdir()
    for name in ("lib", "lib64"):
        (layer / name).symlink_to(f"usr/{name}")
    tools = Mount(Path("/usr"), "/usr", read_only=True)
    script = "setarch $(uname -m) true; echo $?; setarch -R true 2>/dev/null; echo $?; chroot / pwd"
    script += "; unshare -U true 2>/dev/null; echo $?; unshare -m true 2>/dev/null; echo $?"
    for _ in range(containers):
        text = host.output("sh", "-c", script, layers=(1, 2), mounts=(tools,), env={"PATH": "/usr/bin:/bin"})
        assert text.split() == ["0", "1", "/", "1", "1"]


def test_another_user(host: Host) -> None:
    text = host.output("sh", "-c", "id; echo $HOME; grep Cap /proc/self/status", user="www-data")
    assert "uid=33(www-data) gid=33(www-data) groups=" in text and "50(staff)" in text
    assert "/var/www" in text
    status = _status(text)
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert int(status["CapBnd"], 16) == _MASK


def test_owners_on_disk_are_real(host: Host) -> None:
    script = "touch /root/a; touch /root/b; chown 33:33 /root/b; stat -c %u:%g /root/a /root/b /var/www"
    id = host.boot("sh", "-c", script)
    assert host.runtime.wait(id, timeout=10) == 0
    assert host.log(id).split() == ["0:0", "33:33", "33:33"]
    upper = host.upper(id)
    assert [(upper / "root" / name).stat().st_uid for name in "ab"] == [0, 33]


def test_a_removed_file_becomes_a_whiteout(host: Host) -> None:
    id = host.boot("rm", "/old/file")
    assert host.runtime.wait(id, timeout=10) == 0
    info = (host.upper(id) / "old/file").lstat()
    assert info.st_rdev == 0 and info.st_mode & 0o170000 == 0o020000
    assert (host.paths.layers / "1/old/file").read_text() == "below"


def test_masked_and_read_only_paths(host: Host) -> None:
    script = """exec 2>&1  # two streams may arrive in any order
        cat /proc/keys /proc/timer_list; wc -c </proc/kcore; ls /sys/firmware
        echo 1 >/proc/sys/kernel/panic && echo WROTE
        touch /sys/x && echo WROTE
        echo b >/proc/sysrq-trigger && echo WROTE
        mount -t tmpfs x /tmp && echo MOUNTED
        mknod /root/sda b 8 0 && cat /root/sda >/dev/null && echo READ
        echo end"""
    out = [line for line in host.output("sh", "-c", script).splitlines() if "denied" not in line]
    assert not {"WROTE", "MOUNTED", "READ"} & set(out)
    assert out[-1] == "end"


def test_devices_that_are_needed(host: Host) -> None:
    script = "echo x >/dev/null && head -c 4 /dev/urandom | wc -c && touch /dev/shm/x && ls /dev/ptmx"
    assert host.output("sh", "-c", script).split() == ["4", "/dev/ptmx"]


def test_network_sysctls(host: Host) -> None:
    files = [f"/proc/sys/net/ipv4/{name}" for name in ("ping_group_range", "ip_unprivileged_port_start")]
    assert host.output("cat", *files).split() == ["0", "65535", "0"]


def test_files_of_the_host(host: Host) -> None:
    text = host.output("cat", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", resolv_conf="nameserver 192.0.2.5\n")
    assert text.startswith("container\n127.0.0.1\tlocalhost\n")
    assert text.endswith("nameserver 192.0.2.5\n")


def test_a_working_directory_is_made(host: Host) -> None:
    assert host.output("pwd", cwd="/srv/app") == "/srv/app\n"


def test_a_read_only_root(host: Host) -> None:
    assert "Read-only" in host.output("sh", "-c", "touch /x 2>&1; true", read_only=True)


def test_a_volume_keeps_real_owners(host: Host) -> None:
    volume = host.volume("files", "/var/data/deep")
    os.chown(volume.source, 33, 33)
    (volume.source / "given").write_text("from the host\n")
    script = "cat /var/data/deep/given; echo x >/var/data/deep/new; stat -c %u /var/data/deep /var/data/deep/new"
    text = host.output("sh", "-c", script, user="www-data", mounts=(volume,))
    assert text.splitlines() == ["from the host", "33", "33"]
    info = (volume.source / "new").stat()
    assert (info.st_uid, info.st_gid) == (33, 33)


def test_a_read_only_volume(host: Host) -> None:
    volume = host.volume("files", "/data", read_only=True)
    assert "Read-only" in host.output("sh", "-c", "touch /data/x 2>&1; true", mounts=(volume,))
    assert list(volume.source.iterdir()) == []


def test_links_in_an_image_do_not_lead_out(host: Host) -> None:
    outside = host.top / "outside"
    outside.mkdir()
    layer = host.paths.layers / "2"
    (layer / str(outside)[1:]).mkdir(parents=True)
    (layer / "etc").mkdir()
    (layer / "etc/resolv.conf").symlink_to(f"{outside}/made")
    (layer / "data").symlink_to(outside)
    (layer / "work").symlink_to(f"../../../../../../..{outside}")
    volume = host.volume("files", "/data/mounted")
    id = host.boot("sh", "-c", "cat /etc/resolv.conf; pwd", layers=(1, 2), cwd="/work/here", mounts=(volume,))
    assert host.runtime.wait(id, timeout=10) == 0
    assert list(outside.iterdir()) == []
    assert (host.upper(id) / str(outside)[1:] / "here").is_dir()


def test_a_dangling_resolv_conf(host: Host) -> None:
    layer = host.paths.layers / "2"
    (layer / "etc").mkdir(parents=True)
    (layer / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    text = host.output("cat", "/etc/resolv.conf", layers=(1, 2), resolv_conf="nameserver 192.0.2.5\n")
    assert text == "nameserver 192.0.2.5\n"


def test_many_layers(host: Host) -> None:
    for number in range(2, 128):
        directory = host.paths.layers / str(number)
        directory.mkdir()
        (directory / f"f{number}").write_text("")
        (directory / "top").write_text(str(number))
    text = host.output("sh", "-c", "ls / | grep -c '^f'; cat /top", layers=tuple(range(1, 128)))
    assert text == "126\n127\n"
