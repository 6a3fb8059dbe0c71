"""A pool of VMs that are used again."""

from __future__ import annotations

from typing import Final

from .vm import CORE, DEFAULT_LIMITS, Limits, Vm

KEEP_BYTES: Final = 4 << 20
"""A VM that holds more is not used again: freeing it is cheaper than collecting its garbage."""


class VmPool:
    """VMs for later programs, renewed after each program. Not thread-safe.

    :param size: how many VMs of each kind are kept: for workflows, and for other programs.
    """

    def __init__(
        self,
        *,
        size: int = 128,
        limits: Limits = DEFAULT_LIMITS,
        boot: tuple[str, ...] = CORE,
    ) -> None:
        self._size = size
        self._limits = limits
        self._boot = boot
        self._idle: dict[bool, list[Vm]] = {True: [], False: []}  # of workflows, of others

    def take(self, workflow: bool, *, source: int = 0, trace: bool = False) -> Vm:
        """Return a VM with a fresh environment, for the source of that number; the caller sets its `host`."""
        idle = self._idle[workflow]
        if trace or not idle:
            return Vm(workflow=workflow, limits=self._limits, trace=trace, boot=self._boot)
        vm = idle.pop()  # the one most likely to be in the processor's caches
        vm.renew(source)
        return vm

    def give_back(self, vm: Vm) -> None:
        """Take back a VM whose program has ended; free it if it grew large or the pool is full."""
        vm.host = None
        idle = self._idle[vm.workflow]
        if len(idle) < self._size and vm.memory <= KEEP_BYTES and not vm.trace and not vm.spoiled:
            idle.append(vm)
        else:
            vm.close()

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))
