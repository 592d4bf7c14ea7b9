"""The systemd unit of the engine, and the kernel settings a server gets."""

from __future__ import annotations

from paas.errors import TooNew
from paas.setup.host import COMMAND

UNIT_TEXT = f"""\
# Written by `paas setup`; a drop-in (systemctl edit paas) is kept by upgrades, changes in here are not.
[Unit]
Description=paas: git push, build, run, route
Wants=network-online.target
After=network-online.target nss-lookup.target nftables.service ufw.service firewalld.service
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={COMMAND} serve
Restart=always
RestartSec=1
# The data is a newer version's: starting again changes nothing about that.
RestartPreventExitStatus={TooNew.exit_code}
TimeoutStartSec=10min
TimeoutStopSec=60
WatchdogSec=3min
# The SSH port: who connects during a restart waits.
FileDescriptorStoreMax=4

# Containers and nginx live through a stop and a restart of the engine; the next one takes them over.
KillMode=process
Delegate=yes
OOMScoreAdjust=-900
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=65536:1048576
LimitCORE=0
UMask=0022

# What would give the service a mount namespace of its own is left out on purpose (ProtectSystem, ProtectHome,
# PrivateTmp, PrivateDevices, ProtectKernelTunables and the like): roots of containers and pinned namespaces are mounts,
# and have to stay visible to the host and to the engine that comes after. What systemd does by a seccomp filter or by
# no_new_privs is left out as well (SystemCallFilter, RestrictAddressFamilies, RestrictNamespaces, RestrictSUIDSGID,
# MemoryDenyWriteExecute, NoNewPrivileges and the like): each container would inherit it, beside its own profile.
CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_BOOT CAP_SYS_TIME CAP_SYS_RAWIO CAP_SYS_PACCT CAP_SYSLOG
CapabilityBoundingSet=~CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_WAKE_ALARM
CapabilityBoundingSet=~CAP_BLOCK_SUSPEND CAP_LINUX_IMMUTABLE CAP_SYS_TTY_CONFIG CAP_IPC_LOCK CAP_LEASE
CapabilityBoundingSet=~CAP_PERFMON CAP_CHECKPOINT_RESTORE
DevicePolicy=closed
DeviceAllow=/dev/console rwm
KeyringMode=private

[Install]
WantedBy=multi-user.target
"""

SYSCTL_TEXT = """\
# Written by `paas setup`. The modules that some of these belong to stand in /etc/modules-load.d/paas.conf.
net.ipv4.ip_forward = 1
# Connections of nginx to one virtual address use their source ports again.
net.ipv4.tcp_tw_reuse = 1
# A connection through nginx is two entries.
net.netfilter.nf_conntrack_max = 262144
# Each container is a neighbour by a link of its own.
net.ipv4.neigh.default.gc_thresh1 = 4096
net.ipv4.neigh.default.gc_thresh2 = 8192
net.ipv4.neigh.default.gc_thresh3 = 16384
kernel.pid_max = 4194304
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 524288
"""
