"""Rules, versions, packages and the format of packs: text in, values out."""

from __future__ import annotations

import pytest

from paas.apps import appjson
from paas.apps.buildpacks import address
from paas.buildpacks import apart, asking, catalog, pack, planning
from paas.buildpacks.apart import MemoryTree
from paas.buildpacks.planning import Plan
from paas.buildpacks.render import Asked
from paas.buildpacks.rules import Seen
from paas.buildpacks.versions import choose, satisfies
from paas.buildpacks.view import View
from paas.errors import BuildFailed, InvalidInput


def planned(files: dict[str, str], web: str = "", *packs: str) -> Plan:
    return planning.plan(MemoryTree(files), Asked(web), [catalog.current().get(name) for name in packs])


def loaded(text: str, template: str = "FROM scratch\n") -> pack.Pack:
    return pack.parse(text.encode(), "x/buildpack.yml", "x", {"Dockerfile.j2": template})


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("3.11", "3.11", True), ("3.11", "3.11.4", True), ("3.11", "3.1", False), ("3.11", ">=3.9,<4", True),
        ("3.11", ">=3.12", False), ("3.11", "~=3.9", True), ("3.11", "~=3.11.2", True), ("3.11", "!=3.11", False),
        ("3.11", "^3.9", True), ("3.11", "^4", False), ("3.11", "3.x", True), ("3.11", "*", True),
        ("20", "^18.2 || ^20", True), ("20", ">=18 <20", False), ("18", "18.x", True), ("20", "16 - 18", False),
        ("3.1", "~> 3.1", True), ("3.2", "~> 3.1", True), ("3.2", "~> 3.1.0", False), ("22", "lts/*", True),
        ("1.19", ">=1.21", False), ("3.11", "<=3.11", True), ("3.11", ">3.10", True), ("3.11", "nonsense", False),
    ],
)  # fmt: skip
def test_requirements_of_versions(version: str, wanted: str, fits: bool) -> None:
    assert satisfies(version, wanted) is fits


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({}, "3.11"), ({"runtime.txt": "python-3.12.1\n"}, "3.12"), ({".python-version": "3.10\n"}, "3.10"),
        ({".tool-versions": "nodejs 18.1\npython 3.12.1\n"}, "3.12"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.12"\n'}, "3.13"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\n'}, "3.11"),
    ],
)  # fmt: skip
def test_a_python_version_is_read_where_python_people_write_it(files: dict[str, str], version: str) -> None:
    language = catalog.current().get("python").languages[0]
    assert choose(language, Seen(View(MemoryTree(files)))).offer.text == version


def test_a_version_that_cannot_be_had_names_those_that_can() -> None:
    with pytest.raises(InvalidInput, match=r"runtime.txt asks for Python 2.7") as error:
        planned({"requirements.txt": "flask", "runtime.txt": "python-2.7.18"}, "x")
    assert error.value.hint == "There are: 3.11, 3.13; from a registry: 3.12, 3.10, 3.9"


@pytest.mark.parametrize(
    ("files", "web"),
    [
        ({"app.py": "app = Flask(__name__)", "requirements.txt": "Flask"}, "app:app"),
        ({"shop/__init__.py": "def create_app(x=1):", "requirements.txt": "flask==3"}, "'shop:create_app()'"),
        ({"main.py": "api: FastAPI = FastAPI()", "pyproject.toml": '[project]\ndependencies=["fastapi>=0.1"]'},
         "main:api"),
        ({"src/shop/web.py": "api = FastAPI()", "requirements.txt": "fastapi"}, "shop.web:api"),
        ({"site/wsgi.py": "application = x", "manage.py": "", "requirements.txt": "Django"}, "site.wsgi:application"),
        ({"dash.py": "import streamlit as st", "requirements.txt": "streamlit"}, "streamlit run dash.py"),
        ({"main.py": "port = os.environ['PORT']", "requirements.txt": ""}, "exec python main.py"),
    ],
)  # fmt: skip
def test_start_commands_of_python(files: dict[str, str], web: str) -> None:
    assert web in planned(files).applied[0].web


@pytest.mark.parametrize(
    ("packages", "example"),
    [("django", "gunicorn --bind 0.0.0.0:$PORT mysite.wsgi"), ("fastapi", "uvicorn"), ("requests", "python app.py")],
)
def test_no_start_command_is_answered_by_an_example(packages: str, example: str) -> None:
    with pytest.raises(BuildFailed, match="python found nothing to start") as error:
        planned({"requirements.txt": packages})
    assert example in str(error.value.hint)


def test_another_stack_is_what_is_built_on() -> None:
    files = {"index.html": ""}
    assert "FROM debian:bookworm AS static-base" in planned(files).dockerfile
    found = planning.plan(MemoryTree(files), Asked(base="ubuntu:noble"))
    assert "FROM ubuntu:noble AS static-base" in found.dockerfile
    assert found.images == ["ubuntu:noble"]  # what is made here when it is missing
    pack = loaded("title: x", "FROM {{ base }}\n")
    assert apart.plan(MemoryTree(files), Asked("x", base="ubuntu:noble"), [pack], []).images == ["ubuntu:noble"]


@pytest.mark.parametrize("login", ["user:hunter2", "hunter2"])
def test_a_login_in_the_address_of_a_pack_is_refused_and_not_repeated(login: str) -> None:
    with pytest.raises(InvalidInput) as error:
        address(f"https://{login}@example.com/pack.git#v1")
    assert "hunter2" not in f"{error.value.message} {error.value.hint}" and "git:auth" in str(error.value.hint)
    assert address("ssh://git@example.com/pack.git#v1") == "ssh://git@example.com/pack.git#v1"


def test_a_list_of_packs_has_an_end() -> None:
    with pytest.raises(InvalidInput, match="more than 50 buildpacks"):
        asking.listed(
            MemoryTree({".buildpacks": "".join(f"https://example.com/{number}.git\n" for number in range(51))})
        )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"buildpacks": [{"url": "heroku/nodejs"}, {"url": "heroku/python"}]}', ["nodejs", "python"]),
        (
            '{"buildpacks": [{"url": "https://github.com/heroku/heroku-buildpack-ruby.git"}, "python"]}',
            ["ruby", "python"],
        ),
        (
            '{"buildpacks": ["https://buildpack-registry.s3.amazonaws.com/buildpacks/heroku-community/apt.tgz"]}',
            ["apt"],
        ),
        ("{}", []),
    ],
)
def test_the_packs_of_app_json_are_those_of_heroku(text: str, names: list[str]) -> None:
    node = appjson.parse(text.encode()).buildpacks
    assert [named.name for named in asking.listed(MemoryTree({}), node)] == names
    assert [named.name for named in asking.listed(MemoryTree({".buildpacks": "go\n"}), node)] == ["go"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"buildpacks":\n[{"name": "x"}]}', "app.json:2: buildpacks/0: needs a url"),
        ('{"buildpacks":\n[{"url": "no pack!"}]}', "app.json:2: buildpacks/0/url: 'no pack!' is not a buildpack"),
        ('{"buildpacks": "heroku/python"}', "app.json:1: buildpacks: has to be a list"),
    ],
)
def test_wrong_packs_in_app_json_are_named_with_their_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        asking.listed(MemoryTree({}), appjson.parse(text.encode()).buildpacks)
    assert error.value.message == message


@pytest.mark.parametrize(
    "line",
    ["flask", "", "# c", "flask[async]>=2,<3", "a [b,c] ; python_version>'3'", "-r x.txt", "git+https://x/y", "./a",
     "x @ https://a", "foo==1.* \\\n  anything", "uvicorn(>=1)", "a.whl", "Django~=4.2", "x===1", "six<2  # c"],
)  # fmt: skip
def test_what_pip_can_read_is_a_requirement(line: str) -> None:
    assert planned({"requirements.txt": f"six\n{line}\n"}, "x").applied


@pytest.mark.parametrize(
    "line", ["flask=3.0", "flask 3.0", "flask==", "import flask", "<<<<<<< HEAD", "=======", "==2"]
)
def test_what_pip_cannot_read_is_named_with_its_line(line: str) -> None:
    with pytest.raises(InvalidInput) as error:
        planned({"requirements.txt": f"six\n\n{line}\n"}, "x")
    assert error.value.message == f"requirements.txt:3: '{line}' is no requirement"
    assert planned({"requirements.txt": line, "package.json": "{}"}, "x", "node").applied  # nobody installs it


def test_two_packs_that_fit_are_both_named() -> None:
    found = planned({"requirements.txt": "", "index.html": "", "Procfile": ""}, "x")
    assert found.applied[0].name == "python"
    assert {"static": "index.html", "procfile": "Procfile"}.items() <= found.passed_over.items()


def test_no_pack_fits_names_what_was_looked_for_and_three_ways_on() -> None:
    with pytest.raises(BuildFailed) as error:
        planned({"notes": ""})
    assert "python: requirements.txt, pyproject.toml" in error.value.message
    hint = str(error.value.hint)
    assert "Dockerfile" in hint and "buildpacks:set" in hint and "Procfile" in hint


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"pyproject.toml": '[project]\nname = "x\n'}, "pyproject.toml:2: "),
        ({"Pipfile": "\n\n[packages\n"}, "Pipfile:3: "),
        ({"requirements.txt": "", "package.json": '{\n"dependencies": {,}}'}, "package.json:2: "),
        (
            {"requirements.txt": "", "package.json": f'{{"dependencies": {"1" * 5000}}}'},
            "package.json: Exceeds the limit",
        ),
        ({"pyproject.toml": f"x = {'1' * 5000}"}, "pyproject.toml: Exceeds the limit"),
        ({"poetry.lock": "", "requirements.txt": ""}, "poetry.lock is there, but pyproject.toml is not"),
    ],
)
def test_broken_manifests_are_named_with_their_line(files: dict[str, str], message: str) -> None:
    with pytest.raises((InvalidInput, BuildFailed), match=message):
        planned(files)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detcet: {file: x}", "'detcet' is not known"),
        ("title: x\ndetect: {file: ../x}", "x/buildpack.yml:2: detect/file: '../x' is not a path"),
        ("detect: {file: x, matches: '(a+)+'}", "repeats what repeats itself"),
        ("detect: {file: x, matches: '(?=a)'}", "looks back or ahead"),
        ("detect: {file: x, matches: '['}", "no regular expression"),
        ("detect: {}", "needs one of file, package"),
        ("detect: {package: x, key: y}", "key does not go with package"),
        ("versions: {go: {offered: {x: {image: y}}}}", "is not a version"),
        ("facts: {a: [{when: {file: x}}]}", "needs is or read"),
        ("processes: {web: [{run: x, wehn: y}]}", "'wehn' is not known"),
    ],
)
def test_a_wrong_buildpack_is_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        loaded(text)
    assert message in error.value.message and "x/buildpack.yml:" in error.value.message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("FROM a\n{{ nothing }}", "x/Dockerfile.j2:2: 'nothing' is undefined"),
        ("FROM a\n\n{% if %}", "x/Dockerfile.j2:3: "),
        ("{{ pack.__class__.__mro__ }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "/etc/passwd"),
        ("{{ 1 / 0 }}", "x/Dockerfile.j2:1: "),
        ("{{ 'x' * 300000 }}", "more than"),
    ],
)
def test_a_wrong_template_is_refused_with_file_and_line(template: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        planning.plan(MemoryTree({}), Asked("x"), [loaded("title: x", template)])
    assert message in error.value.message


def test_a_pack_of_heroku_s_is_told_from_one_that_is_broken() -> None:
    for folder in ("", "ours"):
        tree = MemoryTree({f"{folder}/bin/compile".lstrip("/"): "#!/bin/sh\n"})
        with pytest.raises(InvalidInput, match=r"has no buildpack\.yml") as error:
            pack.read(tree, folder, "ours", trusted=False)
        assert "one for Heroku" in str(error.value.hint)
    with pytest.raises(InvalidInput) as error:
        pack.read(MemoryTree({"x": ""}), "", "ours", trusted=False)
    assert "Heroku" not in str(error.value.hint)


def test_a_stranger_s_pack_makes_the_same_plan_apart() -> None:
    files = {"site.toml": 'name = "x"', "go": ""}
    text = """
        detect: {file: site.toml, key: name}
        facts: {n: [{read: {file: site.toml, key: name}}]}
        processes: {web: [{run: 'run {{ facts.n.text }}'}]}
    """
    mine = loaded(text, "FROM {{ base }}\nCMD {{ web | json }}\n")
    plan = apart.plan(MemoryTree(files), Asked(), [], [mine])
    assert plan.dockerfile == 'FROM debian:bookworm\nCMD "run x"\n' and plan.applied[0].why == "site.toml has name"
    with pytest.raises(BuildFailed, match="no buildpack recognises it"):
        apart.plan(MemoryTree({"x": ""}), Asked(), [], [mine])


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set x = 'x' * 2000000000 %}",
    ],
)
def test_a_stranger_s_pack_that_does_not_end_is_ended(template: str) -> None:
    with pytest.raises(InvalidInput, match=r"did not come to an end|x/Dockerfile.j2"):
        apart.plan(MemoryTree({}), Asked("x"), [loaded("title: x", template)], [])
