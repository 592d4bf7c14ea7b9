"""What was built, also in a registry: registry:set push-on-release."""

from __future__ import annotations

import re
from collections.abc import Callable

from paas.apps.properties import Properties, Property, boolean
from paas.errors import InvalidInput
from paas.image import reference
from paas.model import Image
from paas.names import shown
from paas.output import Output
from paas.registry.registries import Registries, registry_name
from paas.state import releases
from paas.state.apps import App
from paas.state.database import Database

_APP_NAME = re.compile(r"\{\{\s*\.AppName\s*\}\}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def _repository(text: str) -> str:
    """NAME/NAME, without registry and tag. Raises InvalidInput."""
    found = reference.parse(f"registry.example/{text}")
    if f"registry.example/{text}:{found.tag}" != str(found) or found.digest:
        raise InvalidInput(f"{shown(text)} is not a repository", hint="Example: team/wiki")
    return text


def _template(text: str) -> str:
    """With {{ .AppName }} in it. Raises InvalidInput."""
    made = _APP_NAME.sub("app", text)
    if made == text or "{" in made:
        raise InvalidInput(
            f"{shown(text)} is not a template of a repository",
            hint="Example: team/{{ .AppName }}; there is no other field",
        )
    _repository(made)
    return text


def _tags(text: str) -> str:
    """Tags with commas between. Raises InvalidInput."""
    for tag in text.split(","):
        if not _TAG.fullmatch(tag):
            raise InvalidInput(f"{shown(tag)} is not a tag", hint="Example: latest,stable")
    return text


PROPERTIES = [
    Property("registry", "server", "the registry, HOST[:PORT] (by default docker.io)", registry_name),
    Property("registry", "image-repo", "the app's repository there", _repository),
    Property(
        "registry",
        "image-repo-template",
        "the repositories of apps without image-repo",
        _template,
        "paas/{{ .AppName }}",
    ),
    Property("registry", "push-on-release", "push what was built before it is deployed", boolean, False),
    Property("registry", "push-extra-tags", "more tags that are pushed, with commas", _tags),
]


class Publisher:
    def __init__(self, db: Database, properties: Properties, registries: Registries) -> None:
        self._db = db
        self._properties = properties
        self._registries = registries

    def publish(self, app: App, image: Image, out: Output, cancelled: Callable[[], bool]) -> None:
        """Push an image under the number of the release that it is about to become, if that is wanted.

        Call it with the app's lock held. Raises what makes a push fail: nothing is deployed that is not there.
        """
        value = self._properties.value
        if not value("registry", "push-on-release", app):
            return
        number = releases.next_number(self._db, app)
        extra = value("registry", "push-extra-tags", app)
        out.heading(f"Pushing {self.repository(app)}")
        for tag in dict.fromkeys([str(number), *(extra.split(",") if extra else [])]):
            done = self._registries.push_image(f"{self.repository(app)}:{tag}", image, app.id, out.detail, cancelled)
            out.detail(f"{tag}: digest: {done.digest}")

    def repository(self, app: App) -> str:
        """SERVER/NAME."""
        value = self._properties.value
        name = value("registry", "image-repo", app) or _APP_NAME.sub(
            lambda _: str(app.name), value("registry", "image-repo-template", app)
        )
        server = value("registry", "server", app)
        return f"{server}/{name}" if server else str(name)
