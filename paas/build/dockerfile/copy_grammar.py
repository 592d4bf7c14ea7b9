"""COPY and ADD."""

from __future__ import annotations

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.heredocs import marker
from paas.build.dockerfile.line import Line
from paas.build.dockerfile.words import split_plain


def _words(line: Line) -> tuple[tuple[str, ...], str]:
    """Sources that are no here-documents, and the destination. Spaces in them need the JSON form."""
    rest = line.need("a source and a destination")
    listed = line.json(rest)
    words = split_plain(rest) if listed is None else listed
    if len(words) < 2:
        raise line.error(f"{line.keyword} needs at least one source and a destination")
    *sources, destination = words
    if listed is None and line.heredocs:
        if marker(destination):
            raise line.error(f"a here-document cannot be the destination of {line.keyword}")
        sources = [source for source in sources if not marker(source)]
    return tuple(sources), destination


def copy(line: Line) -> ins.Copy:
    line.take_flags("from", "chown", "chmod", "parents", "link", repeatable=("exclude",))
    sources, destination = _words(line)
    from_stage = line.flag("from")
    if "$" in from_stage:
        hint = "Give it a stage of its own, with the ARG before the first FROM: FROM image:$VERSION AS name"
        raise line.error("--from cannot contain variables", hint)
    return ins.Copy(
        line.span,
        line.source,
        sources,
        destination,
        line.heredocs,
        from_stage,
        line.flag("chown"),
        line.flag("chmod"),
        line.flags("exclude"),
        bool(line.switch("parents")),
        bool(line.switch("link")),
    )


def add(line: Line) -> ins.Add:
    line.take_flags("chown", "chmod", "link", "checksum", "keep-git-dir", "unpack", repeatable=("exclude",))
    sources, destination = _words(line)
    return ins.Add(
        line.span,
        line.source,
        sources,
        destination,
        line.heredocs,
        "",
        line.flag("chown"),
        line.flag("chmod"),
        line.flags("exclude"),
        False,
        bool(line.switch("link")),
        line.flag("checksum"),
        bool(line.switch("keep-git-dir")),
        line.switch("unpack"),
    )
