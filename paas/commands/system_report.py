"""system:report — what a bug report needs."""

from __future__ import annotations

from typing import Any

from paas.apps import describing
from paas.apps.describing import Section
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT
from paas.network.describing import described
from paas.output import pairs, to_json
from paas.runtime.cgroups import detect


@command(
    "system:report",
    FORMAT,
    admin=True,
    effect="reads",
    lists=False,
    page="system",
    examples=("system:report", "system:report --format json"),
)
def report(ctx: Context, format: str | None) -> None:
    """Describe the machine and the engine, for a bug report.

    Versions, kernel, cgroups, disk, limits, the settings that are not as they come, counts, the state of nginx and of
    the network, and the last errors with the ids that users were shown. It holds no names of apps, hostnames or users
    but what a setting or an error message says, and no values of config vars: read it before you send it all the same.
    """
    platform = ctx.platform
    ports = sorted(platform.proxy.ports_in_force().items())
    sections: dict[str, Section] = {
        "versions": describing.versions(),
        "machine": describing.machine(str(detect()), platform.paths.data),
        "limits": describing.limits(),
        "settings": describing.settings_of(platform.settings),
        "counts": describing.counts(platform.db),
        "nginx": {
            "stopped": platform.proxy.is_stopped,
            "ports": " ".join(f"{public}->{local}" for public, local in ports),
            "generations": len(list((platform.paths.run / "nginx").glob("g[0-9]*"))),
            "apps-refused": len(platform.proxy.refused),
        },
        "network": {**described(platform.settings)},
    }
    errors = describing.errors()
    if format == "json":
        values: dict[str, Any] = {**sections, "errors": errors}
        ctx.out.line(to_json(values))
        return
    for title, section in sections.items():
        ctx.out.result(f"system {title}")
        for line in pairs((key, "" if value is None else str(value)) for key, value in section.items()):
            ctx.out.line(line)
    ctx.out.result("system errors")
    for error in errors:
        ctx.out.line(f"       {error['at']} {error['logger']}: {error['message']} {error['where']}".rstrip())
