"""Roles: what users may do on which apps. A user is the name that one or more SSH keys belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from paas.apps.lifecycle import Apps
from paas.apps.properties import Property
from paas.errors import AppNotFound, Denied, InvalidInput, NotFound, PaasError, Taken
from paas.model import Who
from paas.names import nearest, shown
from paas.state import people
from paas.state.apps import GLOBAL, App, find
from paas.state.database import Database


class Role(IntEnum):
    """Each may do what the ones before it may."""

    VIEW = 1
    """What shows the app, but no secrets: reports, logs, releases."""
    DEPLOY = 2
    """All that changes or shows the app: pushes, config vars, commands in its containers."""
    ADMIN = 3
    """Everything, on every app and on the machine."""

    def __str__(self) -> str:
        return self.name.lower()


CREATE = "create"
"""Beside the roles: may make apps, and then deploys those."""
ALL_APPS = "*"
_ROLES = (*(str(role) for role in Role), CREATE)


def role_name(text: str) -> str:
    """Raises InvalidInput."""
    if text not in _ROLES:
        raise InvalidInput(f"{shown(text)} is not a role", hint=f"Roles: {', '.join(_ROLES)}")
    return text


def default_role(text: str) -> str:
    """What a new user is; raises InvalidInput."""
    if text not in ("none", "view", "deploy"):
        raise InvalidInput(f"{shown(text)} is not a role for new users", hint="Known: none, view, deploy")
    return text


PROPERTIES = [
    Property(
        "access",
        "default-role",
        "what the first key of a new user allows on all apps: deploy, view or none",
        default_role,
        "deploy",
        global_only=True,
    ),
]


@dataclass(frozen=True, slots=True)
class Grants:
    """What one user may do. `apps` has roles by the apps' ids."""

    user: str
    everywhere: Role | None
    apps: Mapping[int, Role] = field(default_factory=dict)
    creates: bool = False
    admins: tuple[str, ...] = ()
    """Whom to ask for more."""

    def on(self, app: App) -> Role | None:
        return max((role for role in (self.everywhere, self.apps.get(app.id)) if role is not None), default=None)

    def may(self, role: Role, app: App) -> bool:
        found = self.on(app)
        return found is not None and found >= role

    def everywhere_at_least(self, role: Role) -> bool:
        return self.everywhere is not None and self.everywhere >= role

    @property
    def admin(self) -> bool:
        return self.everywhere is Role.ADMIN

    @property
    def may_create(self) -> bool:
        return self.creates or self.everywhere_at_least(Role.DEPLOY)

    # -- refusals: who can help, and never whether an app exists that the user may not see ------------------------

    def denied(self, what: str, role: Role, app: App | None) -> Denied:
        """`what` needs a role on an app that the user sees, or (None) on all apps."""
        have = self.on(app) if app is not None else self.everywhere
        where = app.name if app is not None else "all apps"
        target = "" if role is Role.ADMIN else f" {app.name if app is not None else shown(ALL_APPS)}"
        needs = f"needs the role {role}" + ("" if role is Role.ADMIN else f" on {where}")
        return Denied(
            f"Access denied: {what} {needs}; {self.user} has {have or 'none'}",
            hint=self._ask(f"access:add {self.user} {role}{target}"),
        )

    def unseen(self, name: str) -> AppNotFound:
        """The same words for an app that does not exist and for one of others."""
        if self.everywhere is not None:
            return AppNotFound(f"App {name} does not exist")
        return AppNotFound(
            f"App {name} does not exist, or {self.user} has no role on it",
            hint=self._ask(f"access:add {self.user} ROLE {name}"),
        )

    def no_creation(self, name: str) -> Denied | AppNotFound:
        if self.everywhere is None:
            return self.unseen(name)
        hint = self._ask(f"access:add {self.user} {CREATE}")
        return Denied(f"Access denied: {self.user} may not create apps, and {name} does not exist", hint=hint)

    def _ask(self, command: str) -> str:
        whom = ", ".join(self.admins[:3]) or "root on the host"
        return f"An admin ({whom}) can give it: {command}"


class Access:
    def __init__(self, db: Database) -> None:
        self._db = db

    def of(self, who: Who) -> Grants:
        """What the caller may do now. `who.admin` stands for the host's root alone, which has no rows."""
        if who.admin:
            return Grants(who.name, Role.ADMIN)
        return self._grants(who.name)

    def _grants(self, user: str) -> Grants:
        everywhere: Role | None = None
        apps: dict[int, Role] = {}
        creates = False
        for row in people.grants(self._db, user):
            if row.role == CREATE:
                creates = True
            elif row.app == GLOBAL:
                everywhere = max(everywhere or Role.VIEW, Role[row.role.upper()])
            else:
                apps[row.app] = max(apps.get(row.app, Role.VIEW), Role[row.role.upper()])
        admins = () if everywhere is Role.ADMIN else tuple(people.admins(self._db))
        return Grants(user, everywhere, apps, creates, admins)

    def told(self, error: PaasError, grants: Grants) -> tuple[str, str | None]:
        """The message and hint for a user: it names what somebody else has to those alone who may see it."""
        if not isinstance(error, Taken):
            return error.message, error.hint
        app = find(self._db, error.owner)
        known = grants.admin if app is None else grants.on(app) is not None
        return (error.named, error.named_hint) if known else (error.message, error.hint)

    def give(self, user: str, role: str, apps: Sequence[App] | None) -> bool:
        """Give a role on apps, or (None) on all. True when the role that every new user has went with it.

        On an app it takes the place of another role there.
        """
        self._known(user)
        if role in (str(Role.ADMIN), CREATE) and apps is not None:
            raise InvalidInput(f"The role {role} is not for single apps", hint=f"access:add {user} {role}")
        with self._db.transaction():
            narrowed = people.drop_standard(self._db, user)
            for target in [GLOBAL] if apps is None else [app.id for app in apps]:
                if role != CREATE:
                    people.revoke(self._db, user, target, keep=CREATE)
                people.grant(self._db, user, target, role)
        return narrowed and role != str(Role.ADMIN)

    def take(self, user: str, role: str | None, apps: Sequence[App] | None, *, everything: bool) -> int:
        """Take roles away: on apps, or (None) on all apps, or `everything`. Returns how many they were."""
        self._known(user)
        if everything:
            return people.revoke_all(self._db, user)
        targets = [GLOBAL] if apps is None else [app.id for app in apps]
        with self._db.transaction():
            return sum(people.revoke(self._db, user, target, only=role) for target in targets)

    def _known(self, user: str) -> None:
        users = people.users(self._db)
        if user not in users:
            close = nearest(user, users)
            hint = f"Did you mean {', '.join(close)}?" if close else "ssh-keys:list shows them; ssh-keys:add makes one."
            raise NotFound(f"There is no user {shown(user)}", hint=hint)


class AppsOf(Apps):
    """The apps as one caller may see them, for one command: others do not exist, and each has to allow the command."""

    def __init__(self, apps: Apps, grants: Grants, what: str, role: Role | None) -> None:
        super().__init__(*apps.parts)
        self._grants = grants
        self._what = what
        self._role = role

    def get(self, name: str) -> App:
        app = self.find(name)
        if app is not None:
            return app
        error = self._grants.unseen(name)
        close = nearest(name, [str(known.name) for known in self.list()])
        if close:
            error.hint = f"Did you mean {', '.join(close)}?"
        elif self._grants.everywhere is not None:
            error.hint = "apps:list shows the apps; apps:create makes one."
        raise error

    def find(self, name: str) -> App | None:
        """None also for an app that the caller may not see. Raises Denied when it does not allow the command."""
        app = super().find(name)
        if app is None or self._grants.on(app) is None:
            return None
        if self._role is not None and not self._grants.may(self._role, app):
            raise self._grants.denied(self._what, self._role, app)
        return app

    def list(self) -> list[App]:
        return [app for app in super().list() if self._grants.may(self._role or Role.VIEW, app)]
