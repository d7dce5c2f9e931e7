# SPDX-License-Identifier: Apache-2.0
"""Realms in KVM, without a distribution: realm/vmm.c is the host's first process and runs realm/guest.c, through
/dev/kcore, in all the ways that matter: several vCPUs, huge and small pages, several at once, killed, refused,
sealed. The tenant of a sealed one is realm/tenant.c."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT / "emu")]
import kserv  # noqa: E402

CROSS = "aarch64-linux-gnu-"
SCENARIOS = re.findall(r'\{ "([a-z-]+)", [a-z_]+ \},', (HERE / "realm" / "vmm.c").read_text())
BOOT_TIMEOUT = float(os.environ.get("KCORE_BOOT_TIMEOUT", "300"))


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    out = tmp_path_factory.mktemp("realm")
    src = HERE / "realm"
    root = out / "root"
    (root / "dev").mkdir(parents=True)
    attest = [ROOT / "attest" / name for name in ("measure.c", "error.c")]
    flags = ["-Wall", "-Wextra", "-Werror"]
    guest = ["-O1", "-ffreestanding", "-fno-stack-protector", "-mgeneral-regs-only", "-mstrict-align", "-fno-pic",
             "-mno-outline-atomics"]
    for command in (
            # libcrypto notes that a static program cannot look up names; none are
            [CROSS + "gcc", *flags, "-static", "-O1", "-pthread", "-I", ROOT / "attest" / "include", src / "vmm.c",
             src / "tenant.c", *attest, "-o", root / "init", "-Wl,--no-warnings", "-lcrypto", "-lz", "-lzstd"],
            [CROSS + "gcc", "-c", src / "start.S", "-o", out / "start.o"],
            [CROSS + "gcc", *flags, *guest, "-c", src / "guest.c", "-o", out / "guest.o"],
            [CROSS + "ld", "--no-warn-rwx-segments", "-T", src / "guest.lds", out / "start.o", out / "guest.o",
             "-o", out / "guest.elf"],
            [CROSS + "objcopy", "-O", "binary", "--set-section-flags", ".bss=alloc,load,contents", out / "guest.elf",
             root / "guest.bin"]):
        subprocess.run(command, check=True)
    with open(out / "initrd", "wb") as f:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root, stdout=f, check=True,
                       input=b"".join(b"%s\n" % str(p.relative_to(root)).encode() for p in sorted(root.rglob("*"))))
    return out / "initrd"


@pytest.fixture(scope="module", params=["cortex-a53", "neoverse-n1", "max"])
def report(request, initrd):
    """The console of a host that ran all scenarios."""
    config = kserv.Config()
    r = subprocess.run(
        ["qemu-system-aarch64", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
         "-M", "virt,virtualization=on,gic-version=3,iommu=smmuv3,its=off", "-cpu", request.param, "-smp", "2",
         "-m", "2G", "-kernel", config.kcore, "-append", "kcore",
         "-device", f"guest-loader,addr={kserv.KERNEL_ADDR:#x},kernel={config.kernel},"
                    "bootargs=console=ttyAMA0 panic=-1 loglevel=6",
         "-device", f"guest-loader,addr={kserv.INITRD_ADDR:#x},initrd={initrd}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=2 * BOOT_TIMEOUT,
        check=False)
    return r.stdout


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(report, scenario):
    assert re.search(rf"^PASS {scenario}\r?$", report, re.M), report


def test_the_host_is_well(report):
    assert re.search(r"^done\r?$", report, re.M), report
    complaints = [line for line in report.splitlines() if kserv.COMPLAINTS.search(line)]
    assert complaints == []
