"""Gems as RubyGems packs them, made without Ruby: what `bundle cache` would leave in vendor/cache."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

_ANY = '!ruby/object:Gem::Requirement {requirements: [[">=", !ruby/object:Gem::Version {version: "0"}]]}'


def gem(name: str, version: str, files: Mapping[str, str], extensions: tuple[str, ...] = ()) -> bytes:
    """`extensions` are those of the files that make what has to be compiled (extconf.rb)."""
    metadata = "\n".join(
        [
            "--- !ruby/object:Gem::Specification",
            f"name: {name}",
            f'version: !ruby/object:Gem::Version {{version: "{version}"}}',
            "platform: ruby",
            "authors: [Nobody]",
            "summary: For a test",
            f"files: [{', '.join(files)}]",
            f"extensions: [{', '.join(extensions)}]",
            "require_paths: [lib]",
            "dependencies: []",
            f"required_ruby_version: {_ANY}",
            f"required_rubygems_version: {_ANY}",
            "specification_version: 4\n",
        ]
    )
    data = _tar({path: text.encode() for path, text in files.items()})
    return _tar({"metadata.gz": gzip.compress(metadata.encode()), "data.tar.gz": gzip.compress(data)})


def _tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()
