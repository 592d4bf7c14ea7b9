"""git:sync, git:from-* and git:load-image — deploys without a push."""

from __future__ import annotations

import os

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag, app_argument
from paas.deploy.sources import Build
from paas.errors import InvalidInput, UsageError
from paas.names import shown
from paas.source.archives import kind_of
from paas.source.commits import Author

_NAME, _EMAIL = Argument("git-username", optional=True), Argument("git-email", optional=True)


@command(
    "git:sync",
    Flag("--build", "deploy what was fetched"),
    Flag("--build-if-changes", "deploy it unless it runs already"),
    Flag("--skip-deploy-branch", "do not let the branch become the one that deploys"),
    app_argument(),
    Argument("repository"),
    Argument("ref", optional=True),
    examples=(
        "git:sync --build wiki https://github.com/example/wiki.git",
        "git:sync --build-if-changes wiki https://github.com/example/wiki.git production",
        "git:sync wiki git@git.example.com:team/wiki.git v1.2",
    ),
)
def sync(
    ctx: Context, app: str, repository: str, ref: str | None, build: bool, build_if_changes: bool, **flags: bool
) -> None:
    """Fetch a branch, a tag or a commit of a repository elsewhere: by default the branch that is its HEAD.

    Without a flag it is only fetched, and ps:rebuild deploys it. A branch becomes the one that deploys the app.
    Over https with the logins of git:auth, over ssh with the deploy key (git:public-key); those are used for admin
    keys only, who may also name a directory of this machine. Others reach what the internet can reach, and no service
    of this machine. Submodules are not fetched: their directories are empty.
    """
    mode: Build = "always" if build else "changed" if build_if_changes else "never"
    ctx.platform.sources.sync(app, repository, ref, ctx.request(), build=mode, keep_branch=flags["skip_deploy_branch"])


@command(
    "git:from-image",
    Flag("--build-dir", "a directory on the host, whose files the image's ONBUILD steps get", "DIRECTORY"),
    Flag("--force", "deploy it also when it is what runs"),
    app_argument(),
    Argument("image"),
    _NAME,
    _EMAIL,
    examples=("git:from-image wiki registry.example.com/team/wiki:2", "git:from-image wiki sha256:0123456789ab"),
)
def from_image(
    ctx: Context,
    app: str,
    image: str,
    git_username: str | None,
    git_email: str | None,
    build_dir: str | None,
    force: bool,
) -> None:
    """Deploy an image as it is, from here or from its registry.

    A commit with a Dockerfile that names it is made, and takes Procfile and app.json from the image's working
    directory. An image that runs already is not deployed again; another one under the same name is.
    """
    author = _author(git_username, git_email)
    context = None if build_dir is None else _directory(ctx, build_dir)
    try:
        done = ctx.platform.sources.from_image(app, image, author, ctx.request(), context=context, force=force)
    finally:
        if context is not None:
            os.close(context)
    if not done:
        _unchanged(ctx, "--force deploys it all the same.")


@command(
    "git:load-image",
    app_argument(),
    Argument("image"),
    _NAME,
    _EMAIL,
    admin=True,
    examples=("git:load-image wiki team/wiki:2 <wiki.tar",),
)
def load_image(ctx: Context, app: str, image: str, git_username: str | None, git_email: str | None) -> None:
    """Load an image from the input and deploy it.

    docker save team/wiki:2 | ssh paas@host git:load-image wiki team/wiki:2
    The input is what `docker save` writes, or an OCI layout. All images in it get their names here, as with `load`.
    """
    _refuse_terminal(ctx)
    author = _author(git_username, git_email)
    with os.fdopen(os.dup(ctx.stdin), "rb") as stream:
        if not ctx.platform.sources.load_image(app, image, stream, author, ctx.request()):
            _unchanged(ctx, f"git:from-image --force {app} {image} deploys it all the same.")


@command(
    "git:from-archive",
    Flag("--archive-type", "tar, tar.gz or zip (default: as the content says)", "TYPE", parse=kind_of),
    app_argument(),
    Argument("url-and-author", many=True, optional=True),
    examples=(
        "git:from-archive wiki https://example.com/wiki-1.2.tar.gz",
        "git:from-archive wiki -- <wiki.tar",
        "git:from-archive --archive-type zip wiki -- <wiki.zip",
    ),
)
def from_archive(ctx: Context, app: str, url_and_author: list[str], archive_type: str | None) -> None:
    """Deploy the files of an archive from an address, or with `--` from the input: tar, compressed or not, or zip.

    <url> [<git-username> [<git-email>]] follow the app. A commit is made of the files; one directory that all of them
    lie in is left out, and so is .git. git:set archive-max-size and archive-max-files limit it. Files that run already
    are not deployed again.
    """
    words = list(url_and_author)
    address = words.pop(0) if words and (words[0] == "-" or "://" in words[0]) else None
    if len(words) > 2:
        raise UsageError(
            f"{shown(words[2])} is one word too many", hint="git:from-archive <app> <url> [<name> [<email>]]"
        )
    if address in (None, "-"):
        address = None
        _refuse_terminal(ctx)
    author = _author(*words)
    kind = None if archive_type is None else kind_of(archive_type)
    if not ctx.platform.sources.from_archive(app, address, ctx.stdin, kind, author, ctx.request()):
        _unchanged(ctx, f"ps:rebuild {app} builds them again.")


def _author(name: str | None = None, address: str | None = None) -> Author:
    known = Author()
    return Author(name or known.name, address or known.address)


def _directory(ctx: Context, path: str) -> int:
    if ctx.directory is None:
        raise UsageError("A directory can be named only on the host itself", hint="Use git:from-archive over ssh.")
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=ctx.directory)
    except OSError as error:
        raise InvalidInput(f"{shown(path)} cannot be read: {error.strerror}") from None


def _refuse_terminal(ctx: Context) -> None:
    if ctx.tty or os.isatty(ctx.stdin):
        raise UsageError("There is no archive in the input", hint="Redirect a file into it: <FILE")


def _unchanged(ctx: Context, hint: str) -> None:
    ctx.out.heading("Nothing has changed; there is nothing to deploy")
    ctx.out.detail(hint)
