"""have + want -> what to keep, boot and retire. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from paas.model import Instance, InstanceState, Process, Release
from paas.names import ProcessType
from paas.schedulers.holding import command_of_process


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one instance: `web.2`."""

    process: ProcessType
    index: int

    def __str__(self) -> str:
        return f"{self.process}.{self.index}"


@dataclass(frozen=True, slots=True)
class Plan:
    keep: tuple[Instance, ...]
    boot: tuple[Slot, ...]
    retire: tuple[Instance, ...]


def plan(
    have: Iterable[Instance],
    want: Sequence[Process],
    fits: Callable[[Instance], bool],
    replace: Callable[[ProcessType], bool],
) -> Plan:
    """Change as little as possible.

    A running instance is kept when its slot is wanted, `fits` says that it runs what the release says, and `replace`
    does not ask for a new one. Everything else that serves is retired; wanted slots without an instance are booted.
    """
    wanted = [Slot(process.type, index) for process in want for index in range(1, process.count + 1)]
    places = set(wanted)
    keep: dict[Slot, Instance] = {}
    retire: list[Instance] = []
    for instance in have:
        slot = Slot(instance.process, instance.index)
        usable = instance.state is InstanceState.RUNNING and slot in places and slot not in keep
        if usable and fits(instance) and not replace(instance.process):
            keep[slot] = instance
        elif instance.state in (InstanceState.RUNNING, InstanceState.CRASHED, InstanceState.ENDED):
            retire.append(instance)
    return Plan(tuple(keep.values()), tuple(slot for slot in wanted if slot not in keep), tuple(retire))


def same_run(old: Release, new: Release, process: ProcessType) -> bool:
    """Whether instances of a process type made for `old` are as good for `new`."""

    def essence(release: Release) -> object:
        command = command_of_process(release, process)
        web_ports = [p.container for p in release.ports if p.is_web][:1]
        mounts = [mount for mount in release.mounts if mount.holds(process)]
        made_with = release.made_for(process)
        return release.image_id, dict(release.config), command, web_ports, mounts, release.commit, made_with

    return essence(old) == essence(new)


def waves(slots: Sequence[Slot], release: Release, last: Callable[[ProcessType], bool]) -> list[list[Slot]]:
    """Slots in the order in which they are booted: each wave is healthy before the next begins.

    All at once, but no more of a process type than its `max_parallel`; types of which the old instances end first come
    in the `last` wave, when everything else is known to be well.
    """
    found: dict[int, list[Slot]] = {}
    place: dict[ProcessType, int] = {}
    ending = [slot for slot in slots if last(slot.process)]
    for slot in slots:
        if slot not in ending:
            before = place.get(slot.process, 0)
            place[slot.process] = before + 1
            found.setdefault(before // (release.declared.max_parallel.get(slot.process) or len(slots)), []).append(slot)
    return [found[number] for number in sorted(found)] + ([ending] if ending else [])
