# SPDX-License-Identifier: Apache-2.0
"""From a disk with stock Debian, under UEFI, to a realm that its tenant attests, and back: one machine's life, in the
order of this file. Whenever KCore can not start, the stock kernel does."""

import glob
import json
import os
import re
import subprocess

import pytest

import kserv
from guestlib import kcorectl, launch

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CACHE = kserv.cache_dir()
DISK = os.path.join(CACHE, "uefi-image", "disk.img")
GUEST_IMAGE = os.path.join(CACHE, "disk-image")
ALL_DEBS = sorted(glob.glob(os.path.join(CACHE, "packages", "*.deb")))
# On the server all but what belongs inside of a realm.
DEBS = [d for d in ALL_DEBS if not os.path.basename(d).startswith("kcore-guest_")]
BOOT_TIMEOUT = float(os.environ.get("KCORE_BOOT_TIMEOUT", "300"))
GUEST_TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))

pytestmark = pytest.mark.timeout(1800)

# All that may differ afterwards: logs, caches, package lists, and what boots write.
SNAPSHOT = """
find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log \\
    -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path '/var/lib/systemd/[!d]*' -o -path /root \\) \\
    -prune -o -print | sort
cut -d: -f1 /etc/passwd | sed 's/^/user /'; cut -d: -f1 /etc/group | sed 's/^/group /'
dpkg-query -W -f 'package ${Package} ${db:Status-Abbrev}\\n'
"""


class Machine:
    """The machine, of which the server object is one power-on."""

    def __init__(self):
        self.server = None
        self.powered_off = 0
        self.before = None      # SNAPSHOT of the stock system

    def power_on(self, **settings):
        config = kserv.Config(mode="uefi", disk=DISK, guest_image=GUEST_IMAGE, cpus=2, memory="3G", reboot=True)
        for key, value in settings.items():
            setattr(config, key, value)
        self.server = kserv.Server(f"test-{os.getpid()}-pkg", config)
        self.server.start(die_with_parent=True)
        return self.up(0)

    def power_off(self):
        self.disconnect()
        if self.server.running():
            self.server.run("systemctl poweroff", check=False)
            self.server.wait_end(BOOT_TIMEOUT)
        self.server.stop()
        # The next power-on writes a new one.
        self.powered_off += 1
        os.rename(self.server.path("console.log"), self.server.path(f"console-{self.powered_off}.log"))

    def disconnect(self):
        subprocess.run(self.server.ssh_command("-O", "exit"), cwd=self.server.dir, capture_output=True)

    def reboot(self):
        """An orderly reboot; returns what the console said from the firmware on."""
        mark = len(self.server.console_text())
        self.server.run("systemctl reboot", check=False)
        self.disconnect()
        self.server.expect_console(r"UEFI firmware|EDK II|BdsDxe", BOOT_TIMEOUT)
        return self.up(mark)

    def reset(self):
        """The reset button."""
        self.disconnect()
        mark = len(self.server.console_text())
        self.server.qmp("system_reset")
        return self.up(mark)

    def up(self, mark):
        self.server.started = 0
        self.server.wait_ssh(BOOT_TIMEOUT)
        self.server._read_from = len(self.server.console_text())
        return self.server.console_text()[mark:]

    def run(self, command, **more):
        return self.server.run(command, **more).stdout

    def runs_kcore(self):
        kcore = self.server.run("test -e /dev/kcore", check=False).code == 0
        assert kcore == self.run("uname -r").strip().endswith("-kserv")
        return kcore

    def settle(self):
        """Waits for the end of the boot; returns what the check of the boot said of it."""
        self.server.run("systemctl is-system-running --wait", check=False, timeout=BOOT_TIMEOUT)
        return self.run("journalctl -b -u kcore-boot.service -o cat --no-pager")

    def attempt(self):
        return "kcore_boot=trying" in self.run("grub-editenv - list")


@pytest.fixture(scope="module")
def machine():
    m = Machine()
    for name in kserv.servers():
        if name.endswith("-pkg") and not kserv.Server(name).running():
            kserv.remove(name)
    yield m
    if m.server:
        m.server.stop()
        # Its disk is a gigabyte; the logs stay.
        if os.path.exists(m.server.path("disk.qcow2")):
            os.unlink(m.server.path("disk.qcow2"))


def test_stock_system_boots(machine):
    machine.power_on()
    assert not machine.runs_kcore()
    assert machine.run("test -d /sys/firmware/efi && ls /sys/firmware/devicetree/base/psci")
    # The menu as Debian's installer would have made it.
    machine.run("update-grub 2>&1", timeout=300)
    machine.before = machine.run(SNAPSHOT)


def test_packages_install(machine):
    """Without a network: what they depend on is in the image."""
    assert len(DEBS) >= 8
    machine.run("mkdir /root/debs")
    for deb in DEBS:
        machine.server.put(deb, f"/root/debs/{os.path.basename(deb)}")
    out = machine.run("apt-get -q -y --no-install-recommends install /root/debs/*.deb 2>&1", timeout=900)
    assert "Found KCore with host kernel" in out
    menu = re.findall(r"^menuentry '([^']*)'", machine.run("cat /boot/grub/grub.cfg"), re.M)
    assert menu[0] == "Debian GNU/Linux, with KCore" and "Debian GNU/Linux" in menu[1:]
    # On the stock kernel nothing is broken, and the daemon says what is missing.
    assert machine.run("systemctl is-active kcoresd.socket").strip() == "active"
    assert machine.run("systemctl --failed --no-legend --plain") == ""
    doctor, code = kcorectl(machine.server, "doctor", check=False)
    assert code != 0 and doctor


def test_reboot_brings_up_kcore(machine):
    console = machine.reboot()
    for stage in ("Loading KCore ...", "Loading the host kernel", "KCore: taking over from the firmware",
                  "kcore: KCore at 0x", "kcore: entering the host", "Linux version 6.12"):
        assert stage in console, stage
        console = console[console.index(stage):]
    assert machine.runs_kcore()
    assert "KCore runs below this system" in machine.settle()
    assert not machine.attempt()
    assert machine.run("systemctl --failed --no-legend --plain") == ""
    assert machine.run("mount | grep ' on / '").startswith("/dev/vd")
    assert "entering the host" in machine.run("kcorectl log")


@pytest.mark.parametrize("name", ["doctor", "realm"])
def test_autopkgtest(machine, name):
    machine.server.put(os.path.join(SOURCE, "packaging", "debian", "tests", name), f"/root/{name}")
    machine.run(f"/root/{name}", timeout=300)


@pytest.mark.parametrize("unit", ["kcoresd", "kcore-kbs"])
def test_unit_is_confined(machine, unit):
    """An exposure of at most 2.0, as systemd of this system sees it."""
    machine.run(f"systemd-analyze security --no-pager --threshold=20 {unit}.service", timeout=300)


def archive(name, data):
    """A file in the format of an initramfs, to follow an initrd."""
    out = b""
    for name, mode, data in ((name, 0o100400, data), ("TRAILER!!!", 0, b"")):
        name = name.encode() + b"\0"
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        out += (b"070701" + b"".join(b"%08X" % f for f in fields) + name).ljust(-(-(110 + len(name)) // 4) * 4, b"\0")
        out += data.ljust(-(-len(data) // 4) * 4, b"\0")
    return out


@pytest.fixture(scope="module")
def tenant(tmp_path_factory):
    """kcorectl of the packages, unpacked on this machine: a function that runs it, and a directory."""
    root = tmp_path_factory.mktemp("tenant")
    for name in ("kcorectl", "libkcore-attest1"):
        deb, = [d for d in DEBS if os.path.basename(d).startswith(f"{name}_")]
        subprocess.run(["dpkg-deb", "-x", deb, root], check=True)

    def run(*arguments, code=0):
        r = subprocess.run([root / "usr/bin/kcorectl", *map(str, arguments)], capture_output=True, text=True,
                           env={**os.environ, "LD_LIBRARY_PATH": str(root / "usr/lib/aarch64-linux-gnu")})
        assert r.returncode == code, (arguments, r)
        return r.stdout
    return run, root


def test_realm_is_attested_from_outside(machine, tenant):
    run, work = tenant
    server = machine.server
    with open(os.path.join(GUEST_IMAGE, "initrd.img"), "rb") as f:
        initrd = f.read()
    with open(os.path.join(GUEST_IMAGE, "disk.key"), "rb") as f:
        initrd = initrd.ljust(-(-len(initrd) // 4) * 4, b"\0") + archive("etc/kcore/disk.key", f.read())
    (work / "initrd.img").write_bytes(initrd)
    with open(os.path.join(GUEST_IMAGE, "cmdline"), encoding="utf-8") as f:
        cmdline = f.read().strip()
    run("image", "key", "-o", work / "tenant.pem")
    run("image", "build", "-o", work / "web.kci", "--kernel", os.path.join(GUEST_IMAGE, "Image"),
        "--initrd", work / "initrd.img", "--append", cmdline, "--memory", "512M", "--vcpus", "1", "--name", "web")
    run("image", "sign", work / "web.kci", "--key", work / "tenant.pem")
    server.put(work / "web.kci", "/root/web.kci")
    server.run("kcorectl platform -o /root/server.kplat")
    (work / "server.kplat").write_bytes(server.get("/root/server.kplat"))
    run("measure", work / "web.kci", "-o", work / "web.json")
    # UEFI hands over no DICE chain: nobody vouches for platform and core, which the tenant has to allow.
    reference = json.loads((work / "web.json").read_text())
    reference["platform"] |= {"lifecycle": "unknown", "instanceId": {"any": True}, "softwareComponents": [
        {"type": "KCore", "version": "1.0", "measurement": {"any": True}, "signerId": {"any": True}}]}
    (work / "web.json").write_text(json.dumps(reference))
    reference["realm"]["initialMeasurement"] = "00" * 32
    (work / "other.json").write_text(json.dumps(reference))

    launch(server, "web", "/root/web.kci --disk /dev/vdb")
    nonce = os.urandom(64).hex()
    for _ in range(int(GUEST_TIMEOUT)):
        r = server.run(f"sleep 1; kcorectl attest web --nonce {nonce} --output -", check=False, text=False)
        if r.code != 5:     # no token to be had now: the agent does not run yet
            break
    assert r.code == 0, r
    (work / "token").write_bytes(r.stdout)
    judge = ["--json", "verify", work / "token", "--agent", "--platform", work / "server.kplat"]
    mine = ["--reference", work / "web.json", "--nonce", nonce]

    def rejected(*options):
        return [c["claim"] for c in json.loads(run(*judge, "--insecure", *options, code=1))["claims"]
                if c["verdict"] == "rejected"]
    run(*judge, *mine, code=3)
    run(*judge, *mine, "--insecure")
    assert rejected("--reference", work / "web.json", "--nonce", os.urandom(64).hex()) == ["challenge"]
    assert rejected("--reference", work / "other.json", "--nonce", nonce) == ["initialMeasurement"]


def test_upgrade_keeps_guests(machine):
    before = kcorectl(machine.server, "show web")[0]
    machine.run("apt-get -q -y reinstall /root/debs/kcoresd_*.deb 2>&1", timeout=600)
    after = kcorectl(machine.server, "show web")[0]
    assert after["guest"]["status"] == before["guest"]["status"] == "running"
    assert after["runtime"]["realm"] == before["runtime"]["realm"]
    assert machine.server.run("kcorectl attest web --output - | wc -c").stdout.strip() != "0"
    machine.run("kcorectl stop --force web")


def test_host_kernel_that_does_not_come_up(machine):
    """After a reset, GRUB sees that the last attempt did not end well."""
    machine.run("cd /boot && for f in kserv-*; do mv $f /root/$f && head -c 64 /root/$f >$f && truncate -s 9M $f; done")
    mark = len(machine.server.console_text())
    machine.server.run("systemctl reboot", check=False)
    machine.server.expect_console(r"kcore: entering the host", BOOT_TIMEOUT)
    console = machine.reset()
    assert "KCore did not come up at the last attempt" in console
    assert not machine.runs_kcore()
    assert machine.attempt()
    assert "not tried again" in machine.settle()
    machine.run("mv /root/kserv-* /boot && grub-editenv - unset kcore_boot")
    assert mark


def test_damaged_core(machine):
    machine.run("cp /boot/kcore.bin /root && printf x | dd of=/boot/kcore.bin bs=1 seek=100000 conv=notrunc status=none")
    console = machine.reboot()
    assert "KCore is damaged" in console
    assert not machine.runs_kcore()
    machine.run("cp /root/kcore.bin /boot")


def test_machine_without_a_device_tree(machine):
    machine.power_off()
    console = machine.power_on(acpi=True)
    assert "KCore: can not start: this machine describes itself by ACPI; KCore needs a device tree" in console
    assert not machine.runs_kcore()
    assert machine.run("ls /sys/firmware/acpi/tables/DSDT")
    machine.run("grub-editenv - unset kcore_boot")
    machine.power_off()


def test_purge_leaves_the_stock_system(machine):
    machine.power_on()
    assert machine.runs_kcore()
    names = " ".join(os.path.basename(d).split("_")[0] for d in DEBS)
    machine.run(f"apt-get -q -y purge {names} 2>&1", timeout=900)
    console = machine.reboot()
    assert "Loading KCore" not in console
    assert not machine.runs_kcore()
    after = machine.run(SNAPSHOT)
    assert set(after.splitlines()) - set(machine.before.splitlines()) == set()
    assert set(machine.before.splitlines()) - set(after.splitlines()) == set()
    assert "kcore" not in machine.run("cat /boot/grub/grub.cfg; grub-editenv - list; cat /etc/group /etc/passwd")


