"""Languages whose toolchain Debian has, built as they are pushed: what they depend on is in the tree.

Java, Rails and what debian:trixie has take too long for here; their Dockerfiles are in golden/.
"""

from __future__ import annotations

from tests.buildpacks.conftest import Apps, golden
from tests.buildpacks.gems import gem
from tests.harness.client import Repository
from tests.harness.waiting import wait_until
from tests.machine import Machine

OLD = "2020-01-02T03:04:05Z"


def test_rust_builds_what_is_vendored_and_a_commit_older_than_the_last_build(machine: Machine, apps: Apps) -> None:
    tree = golden("rust-vendored")
    repository, said = apps.push("rust", tree)
    assert machine.get("rust").text == "Hello from Rust\n", said
    assert "Compiling greeting" in said
    assert seen_inside(machine, "rust", "gcc cargo") == ["app", "none", "Cargo.lock", "Cargo.toml", "bin"]

    # Cargo goes by the time of files, which here is the commit's.
    source = tree["src/main.rs"].replace(b"greeting::text()", b"greeting::text().to_uppercase()")
    repository.commit({"src/main.rs": source}, when=OLD)
    said = pushed(repository, "rust")
    assert "Compiling shop" in said and "Compiling greeting" not in said
    wait_until(lambda: machine.get("rust").text == "HELLO FROM RUST\n", "the new code answers", 5)


def test_an_elixir_release_is_made_without_hex_where_nothing_is_from_there(machine: Machine, apps: Apps) -> None:
    tree = golden("elixir-plain")
    repository, said = apps.push("elixir", tree)
    assert machine.get("elixir").text == "Hello from Elixir\n", said
    user, tools, *files = seen_inside(machine, "elixir", "gcc elixir mix erl")
    assert (user, tools) == ("app", "none") and {"bin", "lib", "releases"} < set(files) and "mix.exs" not in files
    repository.commit({"lib/shop.ex": tree["lib/shop.ex"].replace(b"Hello from", b"Again from")})
    pushed(repository, "elixir")
    wait_until(lambda: machine.get("elixir").text == "Again from Elixir\n", "the new code answers", 5)


def test_gems_in_vendor_cache_are_compiled_once(machine: Machine, apps: Apps) -> None:
    code = (
        '#include <ruby.h>\nstatic VALUE text(VALUE self) { return rb_str_new_cstr("Hello from Ruby"); }\n'
        'void Init_greeting(void) { rb_define_module_function(rb_define_module("Greeting"), "text", text, 0); }\n'
    )
    extconf = 'require "mkmf"\ncreate_makefile("greeting")\n'
    packed = gem("greeting", "1.0.0", {"ext/extconf.rb": extconf, "ext/greeting.c": code}, ("ext/extconf.rb",))
    app = 'require "greeting"\nrequire "socket"\nserver = TCPServer.new("0.0.0.0", ENV.fetch("PORT"))\n' + (
        "loop do\n  client = server.accept\n  client.gets\n"
        '  client.write("HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n#{Greeting.text}")\n  client.close\nend\n'
    )
    lock = "GEM\n  remote: https://rubygems.org/\n  specs:\n    greeting (1.0.0)\n\nPLATFORMS\n  ruby\n\n"
    repository, said = apps.push(
        "ruby",
        {
            "Gemfile": 'source "https://rubygems.org"\ngem "greeting"\n',
            "Gemfile.lock": lock + "DEPENDENCIES\n  greeting\n",
            "vendor/cache/greeting-1.0.0.gem": packed,
            "Procfile": "web: exec bundle exec ruby app.rb\n",
            "app.rb": app,
        },
    )
    assert machine.get("ruby").text == "Hello from Ruby", said
    assert "Installing greeting 1.0.0 with native extensions" in said and "vendor/cache" in said
    user, tools, *files = seen_inside(machine, "ruby", "gcc make")
    assert (user, tools) == ("app", "none") and "app.rb" in files
    left = machine.paas(
        "run", "ruby", "sh", "-c", "find / -xdev -name '*.gem' -o -xdev -name mkmf.log 2>/dev/null; true"
    )
    assert not left.text.strip()
    repository.commit({"app.rb": app.replace("Greeting.text", "Greeting.text.upcase")})
    assert "native extensions" not in pushed(repository, "ruby")
    wait_until(lambda: machine.get("ruby").text == "HELLO FROM RUBY", "the new code answers", 5)


def pushed(repository: Repository, app: str) -> str:
    """What the push said; nothing that is the same for all apps was made anew."""
    said = repository.push(app, timeout=400).error
    assert "Setting up" not in said
    return said


def seen_inside(machine: Machine, app: str, tools: str) -> list[str]:
    """The account, the tools that are there or `none`, and the names in /app."""
    script = f"id -un; command -v {tools} || echo none; ls /app"
    return machine.paas("run", app, "sh", "-c", script).text.split()
