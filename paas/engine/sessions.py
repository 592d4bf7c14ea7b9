"""What the engine does for one connection: a command, a repository, a push."""

from __future__ import annotations

import logging
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from paas import wire
from paas.apps.access import AppsOf, Role
from paas.commands import router
from paas.commands.context import Context, Platform
from paas.deploy.held import Request
from paas.engine.logins import Login, Logins
from paas.engine.server import Session
from paas.errors import ADVICE, AppNotFound, Denied, InvalidInput, PaasError
from paas.model import Push, RefUpdate, Who
from paas.names import AppName
from paas.output import Discard, Hangup, StreamOutput, human_bytes
from paas.state import people
from paas.state.apps import App
from paas.system.disk import full_disk_is_told, refuse_when_full, spare

log = logging.getLogger(__name__)

ROOT = Who("root", admin=True)
_OID = re.compile(r"[0-9a-f]{40}")
_REF = re.compile(r"refs/[^-/]")


class Sessions:
    def __init__(self, platform: Platform, logins: Logins, front_door_uid: int) -> None:
        self._platform = platform
        self._logins = logins
        self._front_door = front_door_uid

    def handle(self, session: Session) -> None:
        """Trust: root may do all; the front door's account speaks for those who are logged in; nobody else."""
        if session.uid not in (0, self._front_door):
            session.finish({"exit": 1, "error": "not allowed"})
            return
        try:
            with full_disk_is_told():
                answer = self._answer(session)
        except PaasError as error:
            answer = {"exit": error.exit_code, "error": error.message, "hint": error.hint}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            log.warning("a request that cannot be understood: %r", error)
            answer = {"exit": 1, "error": "The request cannot be understood"}
        session.finish(answer)

    def _answer(self, session: Session) -> wire.Frame:
        match session.request.get("kind"):
            case "command":
                return {"exit": self._command(session)}
            case "receive":
                return self._repository(session)
            case "push":
                return {"exit": self._push(session)}
        raise InvalidInput("Unknown kind of request")

    def _who(self, session: Session) -> Who:
        request = session.request
        if "token" in request:
            return self._user(self._logins.of(str(request["token"])))
        if "ticket" in request and request["kind"] == "push":
            return self._user(self._logins.of_ticket(str(request["ticket"]), str(request["app"])))
        if session.uid != 0:
            raise Denied("Who asks is missing")
        value = request.get("who")
        if value is None:
            return ROOT
        who = Who(str(value["name"]), bool(value["admin"]), str(value.get("address", "")))
        return replace(who, admin=self._platform.access.of(who).admin)

    def _user(self, login: Login) -> Who:
        who = Who(login.name, False, login.address)
        return replace(who, admin=self._platform.access.of(who).admin)

    def _command(self, session: Session) -> int:
        request = session.request
        if len(session.descriptors) not in (3, 4) or (len(session.descriptors) == 4 and session.uid != 0):
            raise InvalidInput("A command comes with three descriptors; root may add a directory")
        argv = request["argv"]
        if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
            raise InvalidInput("The command is no list of words")
        stdin, stdout, stderr = session.descriptors[:3]
        environment = request.get("environment") or {}
        who = self._who(session)
        context = Context(
            platform=self._platform,
            who=who,
            grants=self._platform.access.of(who),
            out=StreamOutput(
                stdout,
                stderr,
                colour=not request.get("no_color") and request.get("term", "dumb") not in ("", "dumb"),
                columns=_columns(stdout),
            ),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            tty=bool(request.get("tty")),
            size=(int(request.get("rows", 24)), int(request.get("columns", 80))),
            term=str(request.get("term", "dumb"))[:64],
            terminal=session,
            hung_up=session.hung_up,
            directory=session.descriptors[3] if len(session.descriptors) == 4 else None,
            environment={str(key): str(value) for key, value in environment.items()} if session.uid == 0 else {},
        )
        return router.run(context, argv)

    def _repository(self, session: Session) -> wire.Frame:
        """The repository of an app for git; a push makes an app that does not exist yet."""
        name, service = str(session.request["app"]), str(session.request["service"])
        who = self._who(session)
        try:
            app = self._app_for(session, name, service, who)
        except (Denied, AppNotFound) as error:
            people.record(self._platform.db, who, name[:63], service, error.message, "denied")
            raise
        found = {"exit": 0, "app": app.name, "repo": str(self._platform.apps.repo(app))}
        if service != "git-receive-pack":
            return {**found, "limit": 0}
        token = session.request.get("token")
        ticket = {} if token is None else {"ticket": self._logins.ticket(str(token), app.name)}
        return {**found, **self._room(), **ticket}

    def _room(self) -> wire.Frame:
        """How large a push may be, and a warning when that is not much. Raises DiskFull."""
        place = self._platform.paths.data
        refuse_when_full(place, "a push")
        left = shutil.disk_usage(place).free - spare(place)
        room: wire.Frame = {"limit": min(self._platform.settings.push_limit, max(1, left))}
        if left < 3 * spare(place):
            room |= {"warning": f"The disk is nearly full: a push may have {human_bytes(left)}", "hint": ADVICE}
        return room

    def _app_for(self, session: Session, name: str, service: str, who: Who) -> App:
        platform = self._platform
        grants = platform.access.of(who)
        apps = AppsOf(platform.apps, grants, service, Role.DEPLOY)
        app = apps.find(name)
        if app is not None:
            return app
        checked = AppName(name)
        if service != "git-receive-pack":
            return apps.get(name)  # raises, with near matches
        if not grants.may_create:
            raise grants.no_creation(checked)
        if platform.properties.value("apps", "disable-autocreation", None):
            raise AppNotFound(
                f"App {name} does not exist, and pushes make none here: auto-creation is disabled",
                hint=f"apps:create {name}",
            )
        return platform.changes.create(checked, Request(who, Discard(), session.hung_up.is_set))

    def _push(self, session: Session) -> int:
        """git's pre-receive hook. What goes wrong is told to the pusher, and git refuses the push."""
        request = session.request
        stdout, stderr = session.descriptors[-2:]
        out = StreamOutput(stdout, stderr)
        name, who = str(request["app"]), self._who(session)
        try:
            with full_disk_is_told():
                app = AppsOf(self._platform.apps, self._platform.access.of(who), "git push", Role.DEPLOY).get(name)
                self._platform.changes.refuse_if_locked(app)
                self._platform.pipeline.push(self._push_of(session, app, who), out, session.hung_up.is_set)
        except PaasError as error:
            access = self._platform.access
            message, hint = access.told(error, access.of(who))
            try:
                out.warn(message)
                if hint:
                    out.warn(hint)
            except Hangup:
                pass
            reason = error.message.splitlines()[0]
            log.info("push to %s refused: %s", name, reason)
            refused = isinstance(error, Denied | AppNotFound)
            people.record(self._platform.db, who, name[:63], "push", reason, "denied" if refused else "failed")
            return error.exit_code
        except Hangup:
            return 130
        return 0

    def _push_of(self, session: Session, app: App, who: Who) -> Push:
        request = session.request
        repo = self._platform.apps.repo(app)
        quarantine = request.get("quarantine")
        if quarantine is not None:
            path = Path(str(quarantine))
            if path.parent != repo / "objects" or ".." in path.parts:
                raise InvalidInput("The quarantine lies outside of the repository")
            quarantine = path
        updates = tuple(RefUpdate(str(old), str(new), str(ref)) for old, new, ref in request["updates"])
        if not all(_OID.fullmatch(each.old) and _OID.fullmatch(each.new) and _REF.match(each.ref) for each in updates):
            raise InvalidInput("The push names what is no commit or no ref")
        return Push(app.name, who, updates, repo, quarantine)


def _columns(descriptor: int) -> int:
    """The width of a terminal; 0 when it is none, or does not know."""
    try:
        return os.get_terminal_size(descriptor).columns
    except OSError:
        return 0
