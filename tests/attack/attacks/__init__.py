# SPDX-License-Identifier: Apache-2.0
"""What a malicious host, device and guest try.

Each attack is a function of an Arena: a machine, the RMI calls, and a victim realm with a secret. It
returns something true if it got what it wanted, or a false value (or raises Refused) if it was refused.
`weak` names the file weak/NAME.patch that takes away the protection it runs against; without it the
attack must succeed. `event` is a pattern that KCore's log must show afterwards."""

from . import memory, devices, commands, registers, races  # noqa: F401, I001: each registers its attacks, in this order
from .arena import ATTACKS, Arena, Attack, weakened
from .devices import dma_works

__all__ = ["ATTACKS", "Arena", "Attack", "VMM_ATTEMPTS", "dma_works", "weakened"]

# --- A VMM against its own realm (test_vmm.py, host/vmm.c) ----------------------------------------

# Attempt -> how it may be refused, and the weakened core against which it succeeds.
VMM_ATTEMPTS = {
    "own-read": ({"SIGBUS"}, "host-keeps-page"), "own-write": ({"SIGBUS"}, "host-keeps-page"),
    "own-exec": ({"SIGBUS"}, "host-keeps-page"),
    "proc-mem-read": ({"EIO", "EFAULT"}, "host-keeps-page"), "proc-mem-write": ({"EIO", "EFAULT"}, "host-keeps-page"),
    "process-vm-readv": ({"EFAULT", "EIO"}, "host-keeps-page"),
    "process-vm-writev": ({"EFAULT", "EIO"}, "host-keeps-page"),
    "kernel-copy": ({"EFAULT"}, "host-keeps-page"),
    "ptrace-read": ({"EIO", "EFAULT"}, "host-keeps-page"), "ptrace-write": ({"EIO", "EFAULT"}, "host-keeps-page"),
    "core-dump": ({"nothing-in-it", "no-file"}, "host-keeps-page"),
    "registers": (None, "exit-shows-registers"),
}
