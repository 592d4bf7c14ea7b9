"""Pruning that is killed half way: what is in use is whole, and the next start removes the rest."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from paas.image.store import ImageStore
from paas.model import ImageConfig, Layer
from paas.paths import Paths
from paas.state import images
from paas.state.database import Database
from tests.harness.waiting import wait_until

_LAYERS = 60


def _layer(store: ImageStore, name: str) -> Layer:
    with store.draft() as draft:
        for number in range(20):
            (draft.upper / f"{name}{number}").write_text(name)
        return store.commit(draft, f"sha256:{name:0>64}")


def test_a_prune_that_is_killed(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "data", tmp_path / "run")
    paths.data.mkdir()
    store = ImageStore(Database(paths.database), paths)
    base = _layer(store, "base")
    used = store.add_image(ImageConfig(), [base], (), "2026-01-02T03:04:05Z")
    store.tag("used:1", used.id)
    doomed = [_layer(store, f"{number:x}") for number in range(_LAYERS)]
    for layer in doomed:
        store.add_image(ImageConfig(), [base, layer], (), "2026-01-02T03:04:05Z")
    child = os.fork()
    if child == 0:
        try:
            ImageStore(Database(paths.database), paths).prune()
        finally:
            os._exit(0)
    gone = store.layer_directory(doomed[1].number)
    wait_until(lambda: not gone.exists(), "it has begun")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    after = ImageStore(Database(paths.database), paths)
    assert after.recover() == []
    assert [entry.reference for entry in after.list()] == ["used:1"]
    after.prune()
    known = {str(layer.number) for layer in images.layers(Database(paths.database))}
    assert known == {str(base.number)} == {entry.name for entry in paths.layers.iterdir()}
    assert (after.layer_directory(base.number) / "base0").read_text() == "base"
