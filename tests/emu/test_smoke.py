# SPDX-License-Identifier: Apache-2.0
"""KCore without Linux: smoke/ is a host of a few pages that makes a realm of a
few instructions through RMI, runs it to each kind of exit, attacks it and takes
every granule back. It prints one line per check."""

import os
import pathlib
import subprocess
import threading

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


MACHINE = "virt,virtualization=on,gic-version=3,iommu=smmuv3,its=off"


def boot(*args, machine=MACHINE, cpu="neoverse-n1", timeout=180):
    return subprocess.run(
        ["qemu-system-aarch64", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot", "-M", machine,
         "-cpu", cpu, "-smp", "2", "-m", "1G", "-kernel", os.environ["KCORE_BIN"], "-append", "kcore", *args],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)


def module(image):
    return ["-device", f"guest-loader,addr=0x50000000,kernel={image},bootargs=smoke"]


def passed(r):
    assert [line for line in r.stdout.splitlines() if line.startswith("FAIL")] == []
    assert "smoke: all passed, " in r.stdout, r.stdout + r.stderr


@pytest.mark.parametrize("cpu", ["cortex-a53", "neoverse-n1", "max"])
def test_a_realm_without_linux(image, cpu):
    passed(boot(*module(image), cpu=cpu))


def test_with_an_its(image):
    """A GIC that has LPIs: its redistributors are mediated, and nothing else changes."""
    passed(boot(*module(image), machine=MACHINE.replace("its=off", "its=on")))


def test_without_an_smmu_realms_are_refused(image):
    """The same host: all is well until it makes a realm, or touches the SMMU that is not there."""
    r = boot(*module(image), machine=MACHINE.replace("iommu=smmuv3,", ""))
    assert "NO DMA PROTECTION" in r.stdout
    assert "FAIL   features: got 0x0, want 0x1" in r.stdout
    assert "FAIL REALM_CREATE: got 0x1, want 0x0" in r.stdout, r.stdout + r.stderr


def test_modules_as_grub_writes_them(image, tmp_path):
    """Only "multiboot,module", the kernel first, at an address that an Image can not run from."""
    subprocess.run(["qemu-system-aarch64", "-nodefaults", "-M", f"{MACHINE},dumpdtb={tmp_path / 'qemu.dtb'}",
                    "-cpu", "neoverse-n1", "-smp", "2", "-m", "1G", "-kernel", os.environ["KCORE_BIN"],
                    "-append", "kcore"], check=True, stdin=subprocess.DEVNULL)
    dts = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", tmp_path / "qemu.dtb"], check=True,
                         capture_output=True, text=True).stdout
    size = os.path.getsize(image)
    end = dts.index("};", dts.index("chosen {"))
    dts = (dts[:end] + "#address-cells = <2>; #size-cells = <2>;"
           f'module@50001000 {{ compatible = "multiboot,module"; reg = <0 0x50001000 0 {size}>; bootargs = "x"; }};'
           'module@58000000 { compatible = "multiboot,module"; reg = <0 0x58000000 0 4096>; };' + dts[end:])
    (tmp_path / "grub.dts").write_text(dts)
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", tmp_path / "grub.dtb", tmp_path / "grub.dts"],
                   check=True)
    r = boot("-dtb", str(tmp_path / "grub.dtb"), "-device", f"loader,file={image},addr=0x50001000,force-raw=on")
    assert "host kernel moved from 0x50001000" in r.stdout
    passed(r)


@pytest.mark.parametrize("machine, args, words", [
    (MACHINE, [], "no host kernel: pass one as a boot module"),
    (MACHINE, ["-device", "guest-loader,addr=0x50000000,kernel=/bin/true"], "not an (uncompressed) arm64 Image"),
    (MACHINE.replace("version=3", "version=2").replace(",its=off", ""), [], "no GICv3 in the device tree"),
])
def test_what_it_can_not_boot_it_names(machine, args, words):
    qemu = subprocess.Popen(
        ["qemu-system-aarch64", "-nodefaults", "-nographic", "-serial", "stdio", "-M", machine, "-cpu", "neoverse-n1",
         "-m", "1G", "-kernel", os.environ["KCORE_BIN"], *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(60, qemu.kill)
    watchdog.start()
    try:
        lines = []
        for line in qemu.stdout:
            lines.append(line)
            if "stopped" in line:
                break
        assert words in "".join(lines)
    finally:
        watchdog.cancel()
        qemu.kill()
        qemu.wait()
