"""Topics: the nouns of commands, in the order in which people meet them."""

from __future__ import annotations

TOPICS: dict[str, tuple[str, ...]] = {
    "apps": ("apps", "ps", "releases", "rollback", "config", "scale", "app-json"),
    "deploying": ("git", "builds", "builder", "builder-dockerfile", "buildpacks", "docker-options", "checks", "tar"),
    "looking": ("logs", "urls", "events", "enter", "run", "stats", "cron", "report"),
    "web": ("domains", "ports", "proxy", "nginx", "certs", "letsencrypt", "maintenance", "http-auth", "redirect"),
    "data": ("storage", "network", "resource", "postgres", "mysql", "mariadb", "redis", "mongo", "link", "backup"),
    "people": ("ssh-keys", "access", "help", "version", "completion", "complete", "shell", "trace"),
    "containers": (),
    "images": ("images", "registry"),
    "machine": ("system", "cleanup", "scheduler", "plugin"),
}
"""`containers` and `images` also have the commands that stand alone and whose page of the reference says so."""

TITLES = {
    "apps": "Apps and what they run",
    "deploying": "From a push to a release",
    "looking": "Seeing what happens",
    "web": "Hostnames, ports, certificates",
    "data": "What outlives a container",
    "people": "People, keys, help",
    "containers": "Containers that belong to no app",
    "images": "Images and registries",
    "machine": "The machine",
    "more": "More",
}


def topic_of(noun: str, page: str = "") -> str:
    """The topic of a command, by its noun and its page."""
    for name, nouns in TOPICS.items():
        if noun in nouns:
            return name
    return page if page in TITLES else "more"
