# SPDX-License-Identifier: Apache-2.0
"""From a disk with stock Debian, under UEFI, to realms that their tenant attests, and back: one machine's life, in the
order of this file. Whenever KCore can not start, the stock kernel does."""

import glob
import json
import os
import re
import subprocess
import time

import pytest

import kserv
from guestlib import DISK_IMAGE, append_archive, cpio, kcorectl, launch, tiny_image

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CACHE = kserv.cache_dir()
DISK = os.path.join(CACHE, "uefi-image", "disk.img")
KCORECTL = os.path.join(CACHE, "build/native/kcorectl/kcorectl")
# On the server all but what belongs inside of a realm.
DEBS = [d for d in sorted(glob.glob(os.path.join(os.environ.get("KCORE_PACKAGES", os.path.join(CACHE, "packages")), "*.deb")))
        if not os.path.basename(d).startswith("kcore-guest_")]
NAMES = [os.path.basename(d).split("_")[0] for d in DEBS]
BOOT_TIMEOUT = float(os.environ.get("KCORE_BOOT_TIMEOUT", "300"))
GUEST_TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))
STOCK_KERNEL = r"Linux version 6\.12\.\S*-cloud-arm64"

pytestmark = pytest.mark.timeout(1800)

# All that may differ afterwards: logs, caches, package lists, and what boots write.
SNAPSHOT = """
find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log \\
    -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path '/var/lib/systemd/[!d]*' -o -path /root \\) \\
    -prune -o -print | sort
cut -d: -f1 /etc/passwd | sed 's/^/user /'; cut -d: -f1 /etc/group | sed 's/^/group /'
dpkg-query -W -f 'package ${Package} ${db:Status-Abbrev}\\n'
"""

# Init of a guest that has nothing but its initrd: the agent, as its unit in a whole Debian runs it.
GUEST_INIT = b"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin
mkdir -p /dev /proc /sys
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe -a configfs tsm_report arm-cca-guest
mount -t configfs configfs /sys/kernel/config
while :; do /usr/libexec/kcore-agent serve; sleep 1; done
"""


class Machine:
    """The machine, of which the server object is one power-on."""

    def __init__(self, name):
        self.name = name
        self.server = None
        self.runs = 0
        self.before = None      # lines of SNAPSHOT of the stock system
        self.sectors = {}       # of files on the disk: path -> [(offset, length)] in bytes

    def power_on(self, **settings):
        config = kserv.Config(mode="uefi", disk=DISK, guest_image="", cpus=2, memory="3G", reboot=True, **settings)
        self.server = kserv.Server(self.name, config)
        self.server.start(die_with_parent=True)

    def unplug(self):
        self.disconnect()
        self.server.stop()
        # The next power-on writes a new one.
        self.runs += 1
        os.rename(self.server.path("console.log"), self.server.path(f"console-{self.runs}.log"))

    def power_off(self):
        self.server.run("systemctl poweroff", check=False)
        assert self.server.wait_end(BOOT_TIMEOUT)
        self.unplug()

    def disconnect(self):
        subprocess.run(self.server.ssh_command("-O", "exit"), cwd=self.server.dir, capture_output=True)

    def reboot(self):
        """An orderly reboot; returns what the console said from the firmware on."""
        mark = len(self.server.console_text())
        self.server.run("systemctl reboot", check=False)
        self.disconnect()
        self.server.expect_console(r"UEFI firmware|EDK II|BdsDxe", BOOT_TIMEOUT)
        return self.up(mark)

    def up(self, mark=0):
        self.server.started = time.monotonic()
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

    def find(self, path):
        """Where the disk has this file, for damage()."""
        disk = self.run("realpath $(findmnt -n -o SOURCE /)").strip()
        start = int(self.run(f"cat /sys/class/block/{os.path.basename(disk)}/start"))
        extents = re.findall(r"^\s*\d+:\s+\d+\.\.\s*\d+:\s+(\d+)\.\.\s*\d+:\s+(\d+):",
                             self.run(f"sync; filefrag -b512 -v {path}"), re.M)
        assert extents
        self.sectors[path] = [((start + int(first)) * 512, int(count) * 512) for first, count in extents]

    def damage(self, path, offset):
        """The disk returns zeros for this file, from the offset on. The machine must be one that forgets."""
        assert self.server.config.forget
        for start, length in self.sectors[path]:
            skip = min(offset, length)
            offset -= skip
            if skip < length:
                error = self.server.qmp("human-monitor-command",
                                        **{"command-line": f'qemu-io disk "write -z {start + skip} {length - skip}"'})
                assert not error


@pytest.fixture(scope="module")
def machine(new_name):
    m = Machine(new_name())
    yield m
    if m.server:
        m.server.stop()
        # Its disk is a gigabyte; the logs stay.
        if os.path.exists(m.server.path("disk.qcow2")):
            os.unlink(m.server.path("disk.qcow2"))


@pytest.fixture
def attempt(machine):
    """A function that begins a boot whose end is not waited for; what it writes to the disk is forgotten. It takes the
    files to damage, path=offset as in Machine.damage."""
    def begin(damage=(), **settings):
        machine.power_on(forget=True, qemu_args=["-S"], **settings)
        while True:
            try:
                machine.server.qmp("query-status")
                break
            except OSError:     # QEMU does not listen yet
                assert machine.server.running(), machine.server._tail()
                time.sleep(0.1)
        for path, offset in damage:
            machine.damage(path, offset)
        machine.server.qmp("cont")
        return machine.server

    yield begin
    machine.unplug()


def test_stock_system_boots(machine):
    machine.power_on()
    machine.up()
    assert not machine.runs_kcore()
    assert machine.run("test -d /sys/firmware/efi && ls /sys/firmware/devicetree/base/psci")
    # What libvirtd makes when it starts for the first time is not ours.
    machine.run("virsh list")
    machine.before = set(machine.run(SNAPSHOT).splitlines())


def test_packages_install(machine):
    """Without a network: what they depend on is in the image."""
    assert len(DEBS) >= 9
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


def test_failed_attempt_is_reported(machine):
    """What kcore-boot.service says on a stock kernel that GRUB booted in KCore's place, and what takes it back."""
    check = "/usr/libexec/kcore-boot-check"
    assert "booted without KCore" in machine.run(check)
    assert "not tried again" in machine.run(f"grub-editenv - set kcore_boot=trying && {check}")
    assert "kcore_boot=trying" in machine.run("grub-editenv - list")
    machine.run("grub-editenv - unset kcore_boot")
    for path in "/boot/kcore.bin", "/boot/kserv-*":
        machine.find(path)
    machine.power_off()


def test_damaged_core(machine, attempt):
    server = attempt([("/boot/kcore.bin", 100000 // 4096 * 4096)])
    server.expect_console("KCore is damaged", BOOT_TIMEOUT)
    server.expect_console(STOCK_KERNEL, BOOT_TIMEOUT)
    assert "KCore: taking over" not in server.console_text()


def test_host_kernel_that_does_not_come_up(machine, attempt):
    """After a reset, GRUB sees that the last attempt did not end well."""
    server = attempt([("/boot/kserv-*", 4096)])
    server.expect_console("kcore: entering the host", BOOT_TIMEOUT)
    server.qmp("system_reset")
    server.expect_console("KCore did not come up at the last attempt", BOOT_TIMEOUT)
    server.expect_console(STOCK_KERNEL, BOOT_TIMEOUT)


def test_machine_without_a_device_tree(machine, attempt):
    server = attempt(acpi=True)
    server.expect_console("KCore: can not start: this machine describes itself by ACPI; KCore needs a device tree", BOOT_TIMEOUT)
    server.expect_console(STOCK_KERNEL, BOOT_TIMEOUT)


def test_installed_system_boots_on_kcore(machine):
    machine.power_on()
    console = machine.up()
    for stage in ("Loading KCore ...", "Loading the host kernel", "KCore: taking over from the firmware",
                  "kcore: KCore at 0x", "kcore: entering the host", "Linux version 6.12"):
        assert stage in console, stage
        console = console[console.index(stage):]
    assert machine.runs_kcore()
    assert "KCore runs below this system" in machine.settle()
    assert "kcore_boot" not in machine.run("grub-editenv - list")
    assert machine.run("systemctl --failed --no-legend --plain") == ""
    assert machine.run("findmnt -n -o SOURCE /").startswith("/dev/vd")
    assert "entering the host" in machine.run("kcorectl log")


def autopkgtests():
    with open(os.path.join(SOURCE, "packaging", "debian", "tests", "control")) as f:
        return [name for names in re.findall(r"^Tests: (.*)$", f.read(), re.M) for name in names.split(", ")]


@pytest.mark.parametrize("name", autopkgtests())
def test_autopkgtest(machine, name):
    machine.server.put(os.path.join(SOURCE, "packaging", "debian", "tests", name), f"/root/{name}")
    machine.run(f"/root/{name}", timeout=300)


@pytest.mark.parametrize("unit", ["kcoresd", "kcore-kbs"])
def test_unit_is_confined(machine, unit):
    """An exposure of at most 2.0, as systemd of this system sees it."""
    machine.run(f"systemd-analyze security --no-pager --threshold=20 {unit}.service", timeout=300)


class Tenant:
    """Another machine: this one. Its image is a stock Debian kernel and initrd, and the agent."""

    def __init__(self, work):
        self.work = work
        initrd = (DISK_IMAGE / "initrd.img").read_bytes()
        (work / "initrd.img").write_bytes(append_archive(initrd, cpio({"init": GUEST_INIT})))
        self.run("image", "key", "-o", work / "tenant.pem")
        self.run("image", "build", "-o", work / "web.kci", "--kernel", DISK_IMAGE / "Image", "--initrd",
                 work / "initrd.img", "--append", "console=ttyAMA0 lsm=capability panic=1", "--memory", "256M", "--vcpus", 1)
        self.run("image", "sign", work / "web.kci", "--key", work / "tenant.pem")
        self.run("measure", work / "web.kci", "-o", work / "web.json")
        # UEFI hands over no DICE chain: nobody vouches for platform and core, which the tenant has to allow.
        reference = json.loads((work / "web.json").read_text())
        reference["platform"] |= {"lifecycle": "unknown", "instanceId": {"any": True}, "softwareComponents": [
            {"type": "KCore", "version": {"any": True}, "measurement": {"any": True}, "signerId": {"any": True}}]}
        (work / "web.json").write_text(json.dumps(reference))
        reference["realm"]["initialMeasurement"] = "00" * 32
        (work / "other.json").write_text(json.dumps(reference))

    @staticmethod
    def run(*arguments, code=0):
        r = subprocess.run([KCORECTL, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert r.returncode == code, (arguments, r)
        return r.stdout

    def attest(self, server, name):
        """A token of the guest, for a nonce of the tenant's; returns the nonce."""
        nonce = os.urandom(64).hex()
        end = time.monotonic() + GUEST_TIMEOUT
        while time.monotonic() < end:
            r = server.run(f"sleep 1; kcorectl attest {name} --nonce {nonce} --output -", check=False, text=False, timeout=600)
            # No token to be had now: the agent does not run yet. A domain may not even be running yet.
            if r.code != 5 or kcorectl(server, f"show {name}")[0]["guest"]["status"] not in ("starting", "running"):
                break
        assert r.code == 0, r
        (self.work / "token").write_bytes(r.stdout)
        return nonce

    def judge(self, nonce, *options, reference="web.json", code=0):
        """The verdict on the last token; returns the claims that are rejected."""
        verdict = self.run("--json", "verify", self.work / "token", "--agent", "--platform", self.work / "server.kplat",
                           "--reference", self.work / reference, "--nonce", nonce, *options, code=code)
        return [c["claim"] for c in json.loads(verdict).get("claims", []) if c["verdict"] == "rejected"]


@pytest.fixture(scope="module")
def tenant(tmp_path_factory):
    return Tenant(tmp_path_factory.mktemp("tenant"))


def test_realm_is_attested_from_outside(machine, tenant):
    server = machine.server
    server.put(tenant.work / "web.kci", "/srv/web.kci")
    server.run("kcorectl platform -o /root/server.kplat")
    (tenant.work / "server.kplat").write_bytes(server.get("/root/server.kplat"))
    launch(server, "web", "/srv/web.kci")
    nonce = tenant.attest(server, "web")
    tenant.judge(nonce, code=3)
    assert tenant.judge(nonce, "--insecure") == []
    assert tenant.judge(os.urandom(64).hex(), "--insecure", code=1) == ["challenge"]
    assert tenant.judge(nonce, "--insecure", reference="other.json", code=1) == ["initialMeasurement"]


DOMAIN = """<domain type='kvm'>
  <name>domain</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os><type arch='aarch64' machine='virt'>hvm</type></os>
  <cpu mode='host-passthrough'/>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
    <controller type='usb' model='none'/>
    <serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
  </devices>
</domain>
"""


def test_domain_of_libvirt_is_attested_from_outside(machine, tenant):
    server = machine.server
    # As apparmor.service does, of which these are the only profiles that matter here.
    server.run("cd /etc/apparmor.d && [ ! -d /sys/kernel/security/apparmor ] || "
               "apparmor_parser -r usr.sbin.libvirtd usr.lib.libvirt.virt-aa-helper", timeout=600)
    server.run("cat >/root/domain.xml", input=DOMAIN)
    server.run("kcorectl define /root/domain.xml --image /srv/web.kci", timeout=600)
    server.run("virsh start domain", timeout=600)
    assert kcorectl(server, "show domain")[0]["guest"]["manager"] == "libvirt"
    assert tenant.judge(tenant.attest(server, "domain"), "--insecure") == []


def newer(deb, directory):
    """The same package with a higher version."""
    tree = directory / os.path.basename(deb)
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN" / "control"
    version = re.search(r"^Version: (\S+)$", control.read_text(), re.M)[1]
    control.write_text(re.sub(rf"(^Version: |\(= ){re.escape(version)}", r"\g<0>+upgrade", control.read_text(), flags=re.M))
    subprocess.run(["dpkg-deb", "-Zzstd", "-z1", "-b", tree, tree.with_suffix(".new")], check=True, stdout=subprocess.DEVNULL)
    return tree.with_suffix(".new")


def test_upgrade_keeps_guests(machine, tenant, tmp_path):
    """Of all packages, under a guest of kcorectl's and one of libvirt's: they run on, and still answer."""
    def guests():
        return {name: (s["guest"]["status"], s["runtime"]["unit"], s["runtime"]["pid"], s["runtime"]["realm"]["id"])
                for name in ("web", "domain") for s in [kcorectl(machine.server, f"show {name}")[0]]}

    before, daemon = guests(), machine.run("systemctl show -P MainPID kcoresd")
    assert {g[0] for g in before.values()} == {"running"}
    machine.run("mkdir /root/newer")
    for deb in DEBS:
        machine.server.put(newer(deb, tmp_path), f"/root/newer/{os.path.basename(deb)}")
    machine.run("apt-get -q -y --no-install-recommends install /root/newer/*.deb 2>&1", timeout=900)
    versions = machine.run("dpkg-query -W -f '${Version}\\n' " + " ".join(NAMES)).split()
    assert len(versions) == len(NAMES) and all(v.endswith("+upgrade") for v in versions)
    assert machine.run("systemctl show -P MainPID kcoresd") != daemon
    assert guests() == before
    assert machine.run("virsh domstate domain").strip() == "running"
    for name in "web", "domain":
        assert tenant.judge(tenant.attest(machine.server, name), "--insecure") == []
    machine.run("kcorectl stop --force web; virsh destroy domain && virsh undefine domain", timeout=300)


# Powers off when the power button is pressed: pin 3 of the PL061, at its unprotected alias (IPA of 33 bits).
BUTTON = [
    0xd2a12064,   # mov  x4, #0x09030000
    0xf2c00024,   # movk x4, #1, lsl #32
    0xb9441483,   # again: ldr w3, [x4, #0x414]     GPIORIS
    0x361fffe3,   # tbz  w3, #3, again
    0xd2800100,   # mov  x0, #8
    0xf2b08000,   # movk x0, #0x8400, lsl #16
    0xd4000003,   # smc  #0                   PSCI SYSTEM_OFF
]


def test_reboot_stops_guests(machine):
    """By their power buttons, before the daemon goes; what was upgraded boots."""
    machine.server.put(tiny_image(*BUTTON), "/root/button")
    launch(machine.server, "button", "--kernel /root/button --memory 64M")
    # Until the reboot the console has the journal.
    machine.run("mkdir -p /run/systemd/journald.conf.d && printf '[Journal]\\nForwardToConsole=yes\\n' "
                ">/run/systemd/journald.conf.d/console.conf && systemctl restart systemd-journald")
    console = machine.reboot()
    order = [console.index(s) for s in ("Stopped button.", "Stopped kcoresd.service", "reboot: Restarting system", "Loading KCore ...")]
    assert order == sorted(order)
    assert machine.runs_kcore()
    assert "KCore runs below this system" in machine.settle()
    assert machine.run("systemctl --failed --no-legend --plain") == ""
    assert kcorectl(machine.server, "list")[0]["guests"] == []


def test_purge_leaves_the_stock_system(machine):
    assert machine.runs_kcore()
    machine.run(f"apt-get -q -y purge {' '.join(NAMES)} 2>&1; rm -f /srv/web.kci", timeout=900)
    # Before it reboots, too.
    assert machine.run("ls -d /run/kcore* /run/systemd/system/kcore* /run/systemd/transient/kcore* /var/*/kcore* 2>/dev/null; pgrep -a kcore; "
                       "systemctl list-units --all --plain --no-legend 'kcore*'; "
                       "systemctl list-unit-files --no-legend 'kcore*'", check=False) == ""
    console = machine.reboot()
    assert "Loading KCore" not in console
    assert not machine.runs_kcore()
    # libvirt keeps the AppArmor profile of a domain that it ran, any domain, and removes the list of its files only.
    changed = {line for line in machine.before ^ set(machine.run(SNAPSHOT).splitlines())
               if not re.fullmatch(r"/etc/apparmor\.d/libvirt/libvirt-[0-9a-f-]{36}", line)}
    assert not changed, "\n".join(sorted(changed))
    assert machine.run("grub-editenv - list | grep kcore; grep kcore /boot/grub/grub.cfg /etc/group /etc/passwd", check=False) == ""
