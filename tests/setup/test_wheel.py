"""What is installed runs outside of a clone; and the unit is one that systemd takes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from paas.errors import TooNew
from paas.paths import PROJECT
from paas.setup.unit import UNIT_TEXT
from paas.setup.versions import opened
from paas.system.run import run


def test_a_built_package_holds_its_data_and_finds_it(tmp_path: Path) -> None:
    site = tmp_path / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    with opened(str(PROJECT)) as source:
        argv = [sys.executable, "setup.py", "--quiet", "build", "--build-base", str(tmp_path / "build")]
        run([*argv, "--build-lib", str(site)], cwd=source.path)
    code = (
        "from paas.paths import HOOKS, TEMPLATES, PROJECT; import sys;"
        "print(PROJECT, (HOOKS / 'pre-receive').stat().st_mode & 0o111, len(list(TEMPLATES.glob('*.j2'))))"
    )
    found = run([sys.executable, "-P", "-c", code], env={"PYTHONPATH": str(site)}, cwd=tmp_path).text.split()
    assert found[:2] == [str(site), str(0o111)] and int(found[2]) >= 3

    for script in (tmp_path / "build").glob("scripts*/paas"):
        command = tmp_path / "bin/paas"
        command.parent.mkdir()
        shutil.copy2(script, command)
    done = run([str(command), "version"], env={"PAAS_SOCKET": "/nonexistent"}, cwd=tmp_path, check=False)
    assert "The paas engine is not running" in done.error


def test_an_engine_that_cannot_read_newer_data_is_not_started_for_ever() -> None:
    assert f"\nRestartPreventExitStatus={TooNew.exit_code}\n" in UNIT_TEXT


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "paas.service"
    unit.write_text(UNIT_TEXT.replace("/usr/local/bin/paas", "/bin/true"))
    done = run(["systemd-analyze", "verify", "--recursive-errors=no", str(unit)], check=False)
    assert done.status == 0 and "paas.service" not in done.error
