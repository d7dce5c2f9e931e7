# SPDX-License-Identifier: Apache-2.0
"""KCore without Linux: smoke/ is a host of a few pages that makes a realm of a
few instructions through RMI, runs it to each kind of exit, attacks it and takes
every granule back. It prints one line per check."""

import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ["--target=aarch64-none-elf", "-march=armv8-a"]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    out = tmp_path_factory.mktemp("smoke")
    flags = ["-mno-outline-atomics", "-mstrict-align", "-ffreestanding", "-fpie", "-fvisibility=hidden", "-O1",
             "-std=gnu17", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'hyp' / 'include'}"]
    src = HERE / "smoke"
    subprocess.run(["clang", *TARGET, *flags, "-c", src / "smoke.c", "-o", out / "smoke.o"], check=True)
    subprocess.run(["clang", *TARGET, "-c", src / "start.S", "-o", out / "start.o"], check=True)
    subprocess.run(["ld.lld", "-pie", "--no-dynamic-linker", "-z", "max-page-size=4096", "-z", "norelro",
                    "-T", src / "smoke.lds", "-o", out / "smoke.elf", out / "start.o", out / "smoke.o"], check=True)
    subprocess.run(["llvm-objcopy", "-O", "binary", out / "smoke.elf", out / "smoke.bin"], check=True)
    return out / "smoke.bin"


@pytest.mark.parametrize("cpu", ["cortex-a53", "neoverse-n1", "max"])
def test_a_realm_without_linux(image, cpu):
    r = subprocess.run(
        ["qemu-system-aarch64", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
         "-M", "virt,virtualization=on,gic-version=3,iommu=smmuv3,its=off", "-cpu", cpu, "-smp", "2", "-m", "1G",
         "-kernel", os.environ["KCORE_BIN"], "-append", "kcore",
         "-device", f"guest-loader,addr=0x50000000,kernel={image},bootargs=smoke"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False)
    failed = [line for line in r.stdout.splitlines() if line.startswith("FAIL")]
    assert failed == []
    assert "smoke: all passed, " in r.stdout, r.stdout + r.stderr


def test_without_an_smmu_realms_are_refused(image):
    """The same host: all is well until it makes a realm, or touches the SMMU that is not there."""
    r = subprocess.run(
        ["qemu-system-aarch64", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
         "-M", "virt,virtualization=on,gic-version=3,its=off", "-cpu", "neoverse-n1", "-smp", "2", "-m", "1G",
         "-kernel", os.environ["KCORE_BIN"], "-append", "kcore",
         "-device", f"guest-loader,addr=0x50000000,kernel={image},bootargs=smoke"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False)
    assert "NO DMA PROTECTION" in r.stdout
    assert "FAIL   features: got 0x0, want 0x1" in r.stdout
    assert "FAIL REALM_CREATE: got 0x1, want 0x0" in r.stdout, r.stdout + r.stderr
