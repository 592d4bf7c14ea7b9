"""Beside pyproject.toml for one thing that it cannot say: a wheel carries the directories of data as well.

They come to lie beside the package, as they do in a clone, so that paas.paths finds them in both.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DATA = ("hooks", "nginx-templates", "buildpacks")


class BuildWithData(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in DATA:
            if Path(name).is_dir():
                shutil.copytree(name, Path(self.build_lib, name), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithData})
