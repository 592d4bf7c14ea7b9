"""Names of images, as far as their form goes. Pure.

After the grammar in github.com/distribution/reference. No part of an expression here can match one text in two ways.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}")
_ID = re.compile(r"[0-9a-f]{64}")
_LONGEST = 255


def is_reference(text: str) -> bool:
    """Whether a registry could know an image of this name: `host:5000/path/name:tag@sha256:...`."""
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return False
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        return False
    path = f"{head}{slash}{last}"
    if len(path) > _LONGEST or _ID.fullmatch(path):
        return False
    parts = path.split("/")
    if len(parts) > 1 and (re.search(r"[.:A-Z]", parts[0]) or parts[0] == "localhost"):
        if not _HOST.fullmatch(parts[0]):
            return False
        parts = parts[1:]
    return all(_NAME.fullmatch(part) for part in parts)
