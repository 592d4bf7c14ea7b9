"""The examples of the other languages, pushed as a user would push them, and what their packs find out about a tree."""

from __future__ import annotations

import re

import pytest

from paas.buildpacks import catalog, planning
from paas.buildpacks.apart import MemoryTree
from paas.buildpacks.planning import Plan
from paas.buildpacks.render import Asked
from paas.errors import BuildFailed, InvalidInput
from tests.buildpacks.conftest import Apps, example, golden
from tests.harness.web import request
from tests.machine import Machine

NEEDY_LOCK = '{"packages": {"node_modules/next": {"engines": {"node": ">=20.9.0"}}}}'
NEEDY_PNPM_LOCK = """lockfileVersion: '9.0'

packages:

  '@sveltejs/kit@2.0.0':
    resolution: {integrity: sha512-x}
    engines: {node: '>=18.13'}
    hasBin: true

  next@16.0.1:
    resolution: {integrity: sha512-y}
    engines: {node: '>=20.9.0 <23'}

  sharp@1.0.0:
    engines: {node: '>=99'}
"""


def planned(files: dict[str, str], web: str = "") -> Plan:
    return planning.plan(MemoryTree(files), Asked(web))


def test_express_runs_without_its_package_manager(machine: Machine, apps: Apps) -> None:
    repository, said = apps.push("express", example("node-express"))
    assert machine.get("express").text == "Hello from Express\n", said
    assert "Node 24 of debian:bookworm: package.json asks for >=20" in said
    seen = machine.paas(
        "run", "express", "sh", "-c", "id -un; command -v npm gcc || echo none; echo $NODE_ENV; node -v"
    )
    assert seen.text.split()[:3] == ["app", "none", "production"] and seen.text.split()[3].startswith("v24.")
    repository.commit({"server.js": example("node-express")["server.js"] + b"// changed\n"})
    assert "added 7" not in repository.push("express").error


def test_vite_is_built_and_served_without_node(machine: Machine, apps: Apps) -> None:
    apps.push("vite", example("vite"))
    page = machine.get("vite", "/a/path/of/its/router")
    script = page.text.partition('src="')[2].partition('"')[0]
    assert script.startswith("/assets/index-") and "Hello from Vite" in machine.get("vite", script).text
    assert machine.paas("run", "vite", "sh", "-c", "command -v node npm || echo none").text.strip() == "none"


def test_sveltekit_is_a_server_that_knows_its_address(machine: Machine, apps: Apps) -> None:
    """A form is refused by SvelteKit where the address it takes for its own is not the one that was asked."""
    repository, said = apps.push("svelte", example("sveltekit"))
    page = machine.get("svelte").text
    assert "Hello from SvelteKit at http://svelte.paas.test/" in page, said
    script = re.search(r"/_app/immutable/[\w/.-]+\.js", page)
    assert script and "immutable" in machine.get("svelte", script[0]).headers["cache-control"]
    assert machine.get("svelte", "/nowhere").status == 404
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://svelte.paas.test"}
    sent = request(machine.address, 80, "svelte.paas.test", method="POST", body=b"text=Planted+line", headers=headers)
    assert "Planted line" in sent.text, sent
    seen = machine.paas("run", "svelte", "sh", "-c", "id -un; command -v npm gcc || echo none; ls node_modules")
    assert seen.text.split()[:2] == ["app", "none"] and "vite" not in seen.text.split()

    manifest = example("sveltekit")["package.json"].replace(b'"vite": "^8.0.16"', b'"vite": "8.0.16"')
    repository.commit({"package.json": manifest})
    refused = repository.push("svelte", check=False)
    assert refused.status != 0 and "run `npm install` and commit package-lock.json" in refused.error


@pytest.mark.parametrize(
    ("manager", "lock"), [("pnpm", "pnpm-lock.yaml"), ("yarn", "yarn.lock"), ("berry", "yarn.lock")]
)
def test_what_only_builds_is_pruned_and_a_lock_that_disagrees_refused(
    machine: Machine, apps: Apps, manager: str, lock: str
) -> None:
    tree = golden(f"node-{manager}")
    repository, said = apps.push(manager, tree)
    assert machine.get(manager).text == "1m without what builds it\n", said
    repository.commit({"package.json": tree["package.json"].replace(b"1.1.1", b"1.1.0")})
    refused = repository.push(manager, check=False)
    assert refused.status != 0 and f"{lock} does not agree with package.json" in refused.error
    assert f"install` and commit {lock}" in refused.error
    assert machine.get(manager).text == "1m without what builds it\n"


def test_php_writes_to_its_own_folder_and_keeps_it_closed(machine: Machine, apps: Apps) -> None:
    _, said = apps.push("php", example("php"))
    assert "apache serves ." in said and "storage:mount APP" in said
    assert "Hello from PHP" in machine.get("php").text
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    sent = request(machine.address, 80, "php.paas.test", method="POST", body=b"text=Planted+line", headers=form)
    assert sent.status == 303
    assert "<li>Planted line</li>" in machine.get("php").text
    assert machine.get("php", "/data/book.txt").status == 403
    assert machine.get("php", "/nowhere").status == 404


def test_go_is_a_small_image_with_a_shell(machine: Machine, apps: Apps) -> None:
    _, said = apps.push("go", example("go"))
    assert machine.get("go").text == "Hello from Go\n" and "Built from vendor/" in said
    seen = machine.paas("run", "go", "sh", "-c", "id -un; ls /app; du -sm / 2>/dev/null | cut -f1")
    user, *files, megabytes = seen.text.split()
    assert user == "app" and "main.go" not in files and "vendor" not in files and int(megabytes) < 40


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({".nvmrc": "v20.11.0\n"}, "20"), ({".nvmrc": "lts/*\n"}, "24"), ({".node-version": "18\n"}, "18"),
        ({".nvmrc": "lts/iron # for now\n"}, "20"), ({".nvmrc": "lts/Hydrogen"}, "18"), ({".nvmrc": "node\n"}, "26"),
        ({".node-version": "lts-jod\n"}, "22"), ({".tool-versions": "node latest\n"}, "26"),
        ({".tool-versions": "python 3.11\nnodejs 22.1.0\n"}, "22"), ({}, "24"),
        ({"package.json": '{"engines": {"node": "^18.2 || ^20"}}'}, "20"),
        ({"package.json": '{"engines": {"node": "20.x"}, "volta": {"node": "18.20.4"}}'}, "18"),
        ({"package.json": '{"engines": {"node": ">= 18.0.0 <21 || 16"}}'}, "20"),
    ],
)  # fmt: skip
def test_a_node_version_is_read_where_node_people_write_it(files: dict[str, str], version: str) -> None:
    plan = planned({"package.json": "{}", "server.js": "", **files})
    assert plan.applied[0].versions["node"].text == version and f"node-linux-$arch@{version}" in plan.dockerfile


def test_a_framework_s_own_requirement_of_node_counts() -> None:
    files = {
        "package.json": '{"dependencies": {"next": "16", "@sveltejs/kit": "2"}}',
        "pnpm-lock.yaml": NEEDY_PNPM_LOCK,
    }
    with pytest.raises(InvalidInput, match="no build script"):
        planned(files)
    files["package.json"] = '{"scripts": {"build": "x"}, ' + files["package.json"][1:]
    plan = planned(files)
    assert plan.applied[0].versions["node"].text == "22"
    assert (
        plan.applied[0].versions["node"].why
        == "next needs >=20.9.0 <23 (pnpm-lock.yaml), @sveltejs/kit needs >=18.13 (pnpm-lock.yaml)"
    )
    assert planned({**files, ".nvmrc": "20"}).applied[0].versions["node"].text == "20"


@pytest.mark.parametrize(
    ("files", "image"),
    [
        ({"Cargo.toml": "[package]\nname='x'\nrust-version='1.85'", "src/main.rs": ""}, "bookworm AS rust-tools"),
        ({"go.mod": "go 1.19", "main.go": "package main"}, "bookworm AS go-tools"),
        ({"go.mod": "go 1.23.4", "main.go": "package main"}, "trixie AS go-tools"),
        ({"Gemfile": "ruby '~> 3.1.2'\ngem 'puma'", "config.ru": ""}, "bookworm AS ruby-base"),
        ({"Gemfile": "gem 'puma'", ".ruby-version": "ruby-3.3.6\n", "config.ru": ""}, "trixie AS ruby-base"),
        ({"pom.xml": "<maven.compiler.release>11</maven.compiler.release>"}, "bookworm AS java-base"),
        ({"pom.xml": "  <configuration><release>21</release></configuration>"}, "trixie AS java-base"),
        ({"pom.xml": "", "system.properties": "java.runtime.version=21\n"}, "trixie AS java-base"),
        ({"pom.xml": "", ".tool-versions": "java temurin-jre-21.0.2\n"}, "trixie AS java-base"),
        ({"pom.xml": "", ".sdkmanrc": "java=21.0.4-tem\n"}, "trixie AS java-base"),
        ({"build.gradle.kts": "kotlin { jvmToolchain(21) }"}, "trixie AS java-base"),
        ({"build.gradle": "sourceCompatibility = '1.8'"}, "bookworm AS java-base"),
        ({"build.gradle": "tasks.x { options.release = 21 }"}, "trixie AS java-base"),
        ({"mix.exs": 'app: :x, \n elixir: "~> 1.15"', ".tool-versions": ""}, "trixie AS elixir-tools"),
        ({"mix.exs": " app: :x,", ".tool-versions": "elixir 1.18.2-otp-27"}, "trixie AS elixir-tools"),
        ({"hugo.toml": "", "themes/a/theme.toml": "min_version = '0.120.0'"}, "trixie AS hugo-base"),
        ({"hugo.toml": "[module.hugoVersion]\nmin = '0.110.0'"}, "bookworm AS hugo-base"),
    ],
)
def test_debian_s_toolchain_is_taken_by_what_is_asked_for(files: dict[str, str], image: str) -> None:
    wrapper = {"gradlew": "", "gradle/wrapper/gradle-wrapper.properties": ""}
    assert f"FROM debian:{image}\n" in planned({**files, **wrapper}).dockerfile


@pytest.mark.parametrize(
    ("files", "web"),
    [
        ({"Cargo.toml": "[package]\nname='shop'\n[[bin]]\nname='web'"}, "exec /app/bin/web"),
        ({"Cargo.toml": "[package]\nname='shop'", "src/bin/site.rs": "pub async fn main() {"}, "exec /app/bin/site"),
        ({"shop.csproj": "<AssemblyName>Our.Shop</AssemblyName><Project>"}, "dotnet /app/Our.Shop.dll"),
        ({"our shop.csproj": "<Project>"}, "dotnet '/app/our shop.dll'"),
        ({"Gemfile": "gem 'sinatra'", "site.rb": "require 'sinatra'"}, "ruby site.rb -o 0.0.0.0"),
    ],
)
def test_start_commands_of_what_is_compiled(files: dict[str, str], web: str) -> None:
    assert web in planned(files).applied[0].web


def test_what_a_step_that_installs_depends_on() -> None:
    ruby = {"Gemfile": "gem 'puma'", "Gemfile.lock": "", "config.ru": "", "vendor/cache/puma-1.gem": ""}
    text = planned(ruby).dockerfile
    assert "source=vendor/cache,target=/app/vendor/cache" in text and "bundle install --local" in text
    text = planned({"Gemfile": "gem 'puma', path: 'x'", "config.ru": ""}).dockerfile
    assert text.index("COPY --chown=root:root") < text.index("bundle install")
    mix = {"mix.exs": ' app: :x,\n {:plug, "~> 1.0"}', "mix.lock": "", "config/config.exs": ""}
    text = planned(mix).dockerfile
    assert "source=config,target=/app/config" in text and "mix local.hex" in text
    text = planned({"mix.exs": ' app: :x,\n {:plug, path: "plug"}'}).dockerfile
    assert "mix local.hex" not in text and text.index("COPY --chown=root:root") < text.index("mix deps.get")
    for pack, files in (("mkdocs", {"mkdocs.yml": ""}), ("sphinx", {"conf.py": "project = 'x'", "index.rst": ""})):
        text = planned({**files, "docs/requirements.txt": pack}).dockerfile
        assert text.index("source=docs/requirements.txt") < text.index("COPY --chown=root:root")
        text = planned({**files, "docs/requirements.txt": "-r ../requirements.txt\n"}).dockerfile
        assert text.index("COPY --chown=root:root") < text.index("pip install -q -r docs/requirements.txt")


@pytest.mark.parametrize(
    ("packages", "scripts", "files", "web"),
    [
        ("express", '"start": "node app.js"', {}, "node app.js"),
        ("express", "", {"index.js": ""}, "exec node index.js"),
        ("next", '"build": "next build", "start": "next start"', {}, "exec next start -H 0.0.0.0 -p $PORT"),
        (
            "next",
            '"build": "x"',
            {"next.config.js": "module.exports = {\n  output: 'standalone',\n}"},
            "node server.js",
        ),
        ("next", '"build": "x"', {"next.config.mjs": "export default { output: 'export' }"}, "serve"),
        ("nuxt", '"build": "nuxt build"', {}, "exec node .output/server/index.mjs"),
        ("next", '"build": "x", "start": "node server.js"', {}, "node server.js"),
        ("next", '"build": "x", "start": "next start -p 4000"', {}, "exec next start -H 0.0.0.0 -p $PORT"),
        ("next", '"build": "x"', {"next.config.mjs": "  // output: 'export'"}, "exec next start"),
        ("nuxt", '"build": "nuxt generate"', {}, "serve"),
        ("@nestjs/core", '"start": "nest start", "start:prod": "node dist/main.js"', {}, "node dist/main.js"),
        ("vite", '"build": "vite build", "start": "vite"', {}, "serve"),
        ("vite", '"build": "vite build", "start": "node server.js"', {}, "node server.js"),
        ("react-scripts", '"build": "x", "start": "PORT=3 react-scripts start"', {}, "serve"),
        ("astro", '"build": "astro build"', {}, "serve"),
        ('astro": "1", "@astrojs/node', '"build": "astro build"', {}, "exec node dist/server/entry.mjs"),
        ('@sveltejs/kit": "1", "@sveltejs/adapter-node', '"build": "vite build"', {}, "exec node build"),
        (
            "@sveltejs/kit",
            '"build": "vite build"',
            {"vite.config.ts": "import adapter from '@sveltejs/adapter-static';"},
            "serve",
        ),
    ],
)
def test_start_commands_of_node(packages: str, scripts: str, files: dict[str, str], web: str) -> None:
    manifest = f'{{"scripts": {{{scripts}}}, "dependencies": {{"{packages}": "1"}}}}'
    plan = planned({"package.json": manifest, "package-lock.json": "{}", **files})
    assert web in plan.applied[0].web
    assert ("/srv/site" in plan.dockerfile) is (web == "serve")


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        ({"package-lock.json": "{}"}, ["npm ci --include=dev", "npm prune --omit=dev --ignore-scripts --no-save"]),
        ({"yarn.lock": "# yarn lockfile v1\n"}, ["yarn@1 ", "yarn install --non-interactive --frozen-lockfile"]),
        ({"yarn.lock": "__metadata:\n"}, ["@yarnpkg/cli-dist@4 ", "yarn install --immutable"]),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, ["pnpm@9 ", "pnpm install --frozen-lockfile"]),
        ({"yarn.lock": "__metadata:\n  version: 6\n"}, ["@yarnpkg/cli-dist@3 "]),
        ({"pnpm-lock.yaml": "lockfileVersion: 5.4\n"}, ["pnpm@7 "]),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, ["pnpm@8 "]),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n", "pnpm-workspace.yaml": "allowBuilds: {}\n"}, ["pnpm@10 "]),
        ({}, ["npm install --no-save --no-package-lock --include=dev"]),
    ],
)
def test_node_packages_are_installed_by_their_lock_file(files: dict[str, str], commands: list[str]) -> None:
    text = planned({"package.json": '{"scripts": {"build": "x"}}', "server.js": "", **files}).dockerfile
    assert all(command in text for command in commands)


@pytest.mark.parametrize(
    ("files", "root"),
    [
        ({"index.php": ""}, "/app"), ({"public/index.php": "", "index.php": ""}, "/app/public"),
        ({"web/index.php": "", "composer.json": "{}"}, "/app/web"),
        ({"index.php": "", "paas.yml": "root: site\n"}, "/app/site"),
    ],
)  # fmt: skip
def test_the_document_root_of_php_is_found(files: dict[str, str], root: str) -> None:
    assert f" DOCUMENT_ROOT={root}\n" in planned(files).dockerfile


@pytest.mark.parametrize(
    ("files", "pack"),
    [
        ({"package.json": "{}", "composer.json": "{}", "artisan": ""}, "php"),
        ({"package.json": "{}", "Gemfile": "gem 'puma'", "config.ru": ""}, "ruby"),
        ({"mkdocs.yml": "site_name: x", "requirements.txt": "mkdocs"}, "mkdocs"),
        ({"hugo.toml": "", "package.json": "{}"}, "hugo"),
        ({"_config.yml": "", "Gemfile": "gem 'jekyll'"}, "jekyll"),
        ({"conf.py": "project = 'x'", "index.rst": "", "requirements.txt": "sphinx"}, "sphinx"),
        ({"docs/conf.py": "project = 'x'", "app.py": "PORT", "requirements.txt": "flask"}, "python"),
        ({"go.mod": "go 1.19", "main.go": "package main", "package.json": "{}"}, "go"),
    ],
)
def test_the_nearer_of_several_packs_is_taken(files: dict[str, str], pack: str) -> None:
    assert planned(files, "x").applied[0].name == pack


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        (
            {"package.json": "{}", ".nvmrc": "12"},
            r"asks for Node 12, which cannot be had",
            "There are: 24, 26, 22, 20, 18",
        ),
        ({"package.json": "{}", ".nvmrc": "lts/argon"}, "Node lts/argon, which cannot", "by name: lts/*, lts/lithium"),
        ({"composer.json": '{"require": {"php": "^8.4"}}'}, "asks for PHP", "There are: 8.2"),
        ({"package.json": "{}"}, "node found nothing to start", "node server.js"),
        ({"package.json": '{"devDependencies": {"vite": "5"}}'}, "no build script", "dist/"),
        ({"package.json": '{"devDependencies": {"@sveltejs/kit": "2"}}'}, "needs an adapter", "adapter-node"),
        (
            {
                "package.json": '{"devDependencies": {"@sveltejs/kit": "2", "@sveltejs/adapter-node": "5"}}',
                "vite.config.ts": "import adapter from '@sveltejs/adapter-auto';",
            },
            "vite.config.ts names @sveltejs/adapter-auto",
            "in vite.config.ts: import adapter from '@sveltejs/adapter-node'",
        ),
        ({"package.json": '{"dependencies": {"next": "16"}}'}, "no build script", '"build": "next build"'),
        ({"package.json": '{"dependencies": {"astro": "5", "@astrojs/vercel": "8"}}'}, "own host", "@astrojs/node"),
        ({"package.json": '{"dependencies": {"@nestjs/core": "11"}}'}, "nothing to start", "node dist/main"),
        (
            {"package.json": '{"dependencies": {"next": "16"}}', ".nvmrc": "18", "package-lock.json": NEEDY_LOCK},
            r".nvmrc asks for Node 18, but next needs >=20.9.0 \(package-lock.json\)",
            "Ask for 24 in .nvmrc",
        ),
        (
            {"package.json": '{"dependencies": {"next": "16"}}', "package-lock.json": '{\n"packages":\n'},
            "package-lock.json:3: ",
            "None",
        ),
        ({"go.mod": "module x\n"}, "No package main", "heroku install"),
        ({"index.php": "", "Procfile": "web: vendor/bin/heroku-php-apache2 public/\n"}, "only Heroku", "document root"),
        ({"config.ru": ""}, "no Gemfile", "puma"),
        ({"Gemfile": "", "config.ru": ""}, "ruby found nothing to start", "puma"),
        ({"build.gradle": ""}, "wrapper is missing", "gradle wrapper"),
        ({"Cargo.toml": "[workspace]\n"}, "has no .package.", "Dockerfile"),
        ({"Cargo.toml": "[package]\nname = 'x'\n"}, "no program to run", "src/main.rs"),
        ({"Cargo.toml": "[package]\nname = 'x\n"}, r"Cargo.toml:2: ", ""),
        ({"Cargo.toml": "[package]", "rust-toolchain": "nightly-2025-01-01\n"}, "nightly cannot be had", "1.96"),
        ({"Cargo.toml": "[package]\nrust-version = '1.200'"}, "asks for Rust 1.200, which", "There are: 1.96"),
        ({"Gemfile": "ruby '2.7.8'", "config.ru": ""}, "asks for Ruby 2.7.8, which", "There are: 3.1, 3.3; from a"),
        ({"Gemfile": "", ".tool-versions": "ruby 2.6"}, "asks for Ruby 2.6, which", "There are: 3.1, 3.3; from a"),
        ({"Gemfile": "ruby file: '.ruby-version'", ".ruby-version": "3.1.2"}, "Bundler of Ruby 3.1", "~> 3.1.0"),
        ({"pom.xml": "<java.version>27</java.version>"}, "asks for Java 27, which", "There are: 17, 21, 25"),
        ({"pom.xml": "", ".java-version": "temurin-26"}, "asks for Java 26, which", "There are: 17, 21, 25"),
        ({"pom.xml": "<packaging>war</packaging>"}, "needs a servlet container", "jar"),
        (
            {"mix.exs": 'elixir: "~> 2.0"'},
            "asks for Elixir ~> 2.0, which",
            "There are: 1.14, 1.18; from a registry: 1.17",
        ),
        ({"mix.exs": ""}, "elixir found nothing to start", "bin/NAME start"),
        ({"go.mod": "go 1.99", "main.go": "package main"}, "asks for Go 1.99, which", "There are: 1.19, 1.24; from a"),
        ({"x.csproj": "<TargetFramework>net6.0<"}, "asks for .NET 6.0, which", "from a registry: 8.0, 9.0"),
        ({"hugo.toml": "title = 'x\n"}, "hugo.toml:1: ", ""),
        ({"hugo.toml": "", ".tool-versions": "hugo 0.9"}, "asks for Hugo 0.9, which", "There are: 0.111, 0.131"),
        ({"conf.py": "project = 'x'"}, "no index.rst", "root_doc"),
    ],
)
def test_what_cannot_be_built_is_said_with_a_way_on(files: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises((BuildFailed, InvalidInput), match=message) as error:
        planned(files)
    assert hint in str(error.value.hint)


def test_every_pack_can_be_had() -> None:
    assert {
        "node",
        "php",
        "go",
        "ruby",
        "rust",
        "java",
        "dotnet",
        "elixir",
        "hugo",
        "jekyll",
        "mkdocs",
        "sphinx",
    } <= set(catalog.current().packs)
