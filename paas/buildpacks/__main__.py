"""The process that plans with the packs of strangers; see paas.buildpacks.apart."""

from paas.buildpacks.apart import answer

answer()
