"""After an older database has been put back: what it knows nothing of would be removed by the next start."""

from __future__ import annotations

from collections.abc import Iterator

from paas.paths import Paths
from paas.state import containers, images, releases
from paas.state.database import Database
from paas.system.files import ensure_directory


def set_aside_unknown(db: Database, paths: Paths) -> Iterator[str]:
    """Move layers and containers without a row out of the way; yields where to."""
    known = {
        paths.layers: {str(layer.number) for layer in images.layers(db)},
        paths.containers: {row.id for row in containers.listing(db)}
        | {row.instance.id for row in releases.instances(db)},
    }
    for folder, names in known.items():
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if entry.name in names or entry.name.startswith("."):
                continue
            place = ensure_directory(paths.set_aside / folder.name, mode=0o700) / entry.name
            number = 1
            while place.exists():
                number += 1
                place = place.with_name(f"{entry.name}-{number}")
            entry.rename(place)
            yield str(place)
