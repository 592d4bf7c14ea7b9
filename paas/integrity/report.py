"""What was found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator

from paas.integrity.finding import Finding
from paas.output import StreamOutput, to_json

_KEYS = ("kind", "name", "problem", "advice", "repaired")


def report(findings: Iterator[Finding], out: StreamOutput, *, json: bool) -> int:
    """Print what is found as it is found; returns the exit status: 1 when something is left to do."""
    found = []
    for finding in findings:
        found.append(finding)
        if not json:
            out.line(f" !     {finding.kind} {finding.name}: {finding.problem}")
            out.detail(f"repaired: {finding.repaired}" if finding.repaired else finding.advice)
    left = sum(finding.is_open for finding in found)
    if json:
        out.line(to_json([{key: getattr(finding, key) for key in _KEYS} for finding in found]))
    elif not found:
        out.heading("Everything is as it was stored")
    else:
        out.heading(f"{len(found)} found, " + (f"{left} left to do" if left else "all of it repaired"))
    return int(left > 0)
