# SPDX-License-Identifier: Apache-2.0
"""Protected domains of stock libvirt on the emulated server: they are defined, started, watched and ended by virsh, under
libvirt's own cgroups, namespaces and AppArmor profile; and what would start one unprotected does not start it."""

import json
import os
import re
import subprocess
import time

import pytest

from guestlib import DISK_IMAGE, Console, append_archive, cpio, kcorectl, kserv, memory_in_use, tiny_image

TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))

pytestmark = pytest.mark.timeout(2400)

KCORECTL = os.path.join(kserv.cache_dir(), "build/native/kcorectl/kcorectl")
IMAGE = "/srv/web.kci"
LOG = "/var/log/libvirt/qemu/web.log"

# What an ordinary domain looks like: other memory and vCPUs than the image's.
ORDINARY = """<domain type='kvm'>
  <name>web</name>
  <memory unit='MiB'>200</memory>
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

# Echoes what is typed, upper case for lower; powers off after "q", and when the power button was pressed.
# x1: PL011, x4: PL061 (pin 3 is the button), both at their unprotected alias (IPA of 33 bits).
GUEST = [
    0xd2a12001,   # mov  x1, #0x09000000
    0xf2c00021,   # movk x1, #1, lsl #32
    0xd2a12064,   # mov  x4, #0x09030000
    0xf2c00024,   # movk x4, #1, lsl #32
    0xb9441483,   # again: ldr w3, [x4, #0x414]     GPIORIS: what came is kept
    0x37180103,   # tbnz w3, #3, off
    0xb9401822,   # ldr  w2, [x1, #0x18]
    0x3727ffa2,   # tbnz w2, #4, again
    0xb9400020,   # ldr  w0, [x1]
    0x521b0000,   # eor  w0, w0, #0x20
    0xb9000020,   # str  w0, [x1]
    0x7101441f,   # cmp  w0, #'Q'
    0x54ffff01,   # b.ne again
    0xd2800100,   # off: mov x0, #8
    0xf2b08000,   # movk x0, #0x8400, lsl #16
    0xd4000003,   # smc  #0                   PSCI SYSTEM_OFF
]


# What a whole Linux has beside. Without addresses: libvirt would put them behind PCIe ports.
DEVICES = """    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/srv/attested.raw'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'><model type='virtio'/></interface>
    <interface type='bridge'><source bridge='kcore-test'/><model type='virtio'/></interface>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
"""

# The first program of a guest that uses its disk and its networks once, and attests: in the initrd of the encrypted guest.
# It copies the first sector of the disk behind itself, and then writes the addresses of the cards by which the host answers:
# QEMU on one, on the other the host's bridge, by the kernel's own half of virtio-net.
SERVE = b"""export PATH=/usr/sbin:/usr/bin
mkdir -p /dev /proc /sys
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe arm-cca-guest
mount -t configfs configfs /sys/kernel/config
modprobe -a virtio_blk virtio_net
dd if=/dev/vda of=/dev/vda bs=512 count=1 seek=1
ip address add 10.0.2.15/24 dev eth0
ip address add 192.0.2.15/24 dev eth1
ip link set eth0 up
ip link set eth1 up
ping -c 3 10.0.2.2 && dd if=/sys/class/net/eth0/address of=/dev/vda bs=512 seek=2 conv=sync
ping -c 3 192.0.2.1 && dd if=/sys/class/net/eth1/address of=/dev/vda bs=512 seek=3 conv=sync
sync
while :; do /usr/libexec/kcore-agent serve; sleep 1; done
"""


def tenant(*arguments, code=0):
    """On the tenant's machine: this one."""
    done = subprocess.run([KCORECTL, "--json", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done.stdout


def virsh(server, arguments, check=True):
    return server.run(f"virsh {arguments}", check=check, timeout=600)


@pytest.fixture(scope="module")
def libvirt(boot_shared, tmp_path_factory):
    """The shared server with libvirtd and its AppArmor profile, and an image on it."""
    server = boot_shared()
    server.run("apparmor_parser -r /etc/apparmor.d/usr.sbin.libvirtd /etc/apparmor.d/usr.lib.libvirt.virt-aa-helper && "
               "systemctl start virtlogd.socket libvirtd.socket", timeout=600)
    d = tmp_path_factory.mktemp("libvirt")
    (d / "kernel").write_bytes(tiny_image(*GUEST))
    tenant("image", "build", "-o", d / "web.kci", "--kernel", d / "kernel", "--memory", "64M", "--vcpus", 2)
    server.put(d / "web.kci", IMAGE)
    yield server
    server.run("systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd.service virtlogd.socket "
               "virtlogd-admin.socket virtlogd.service", check=False, timeout=300)


@pytest.fixture(scope="module")
def defined(libvirt):
    """As kcorectl defines it; /srv/web.xml says how."""
    libvirt.run("cat >/srv/ordinary.xml", input=ORDINARY)
    libvirt.run(f"kcorectl define /srv/ordinary.xml --image {IMAGE} && virsh dumpxml web >/srv/web.xml", timeout=TIMEOUT)
    yield libvirt
    if libvirt.running():
        libvirt.run("virsh destroy web; virsh undefine web", check=False, timeout=600)


@pytest.fixture
def domain(server, defined):
    """Defined and not running, before and after; nothing of it is left."""
    before = memory_in_use(server)
    yield server
    if state(server) != "shut off":
        virsh(server, "destroy web", check=False)
    kcorectl(server, "stop web", check=False)   # forgets one that failed
    assert kcorectl(server, "list")[0]["guests"] == []
    assert memory_in_use(server) == before


def state(server):
    return virsh(server, "domstate web").stdout.strip()


def wait_for(server, what, timeout=TIMEOUT):
    """Until what() is true."""
    end = time.monotonic() + timeout
    while not what():
        if time.monotonic() > end:
            pytest.fail(server.run(f"virsh domstate web; tail -n 20 {LOG}; journalctl -u kcoresd -n 20", check=False).stdout)
        time.sleep(1)


def wait_until_it_runs(server):
    def it_runs():
        guest = kcorectl(server, "show web")[0]
        assert guest["guest"]["status"] != "failed", guest
        return guest["guest"]["status"] == "running"
    wait_for(server, it_runs)


def test_the_difference_is_shown(defined):
    r = defined.run(f"kcorectl convert /srv/ordinary.xml --image {IMAGE}")
    assert re.search(r"^-\s+<emulator>/usr/bin/qemu-system-aarch64</emulator>$", r.stderr, re.M)
    assert re.search(r"^\+\s+<emulator>/usr/bin/kcore-qemu</emulator>$", r.stderr, re.M)
    assert f'image="{IMAGE}"' in r.stdout and "<vcpu>2</vcpu>" in r.stdout


def test_doctor_knows_libvirt(defined):
    checks = {c["check"]: c for c in kcorectl(defined, "doctor")[0]["checks"]}
    assert [checks[c]["status"] for c in ("libvirt", "emulator", "hook", "apparmor")] == ["ok"] * 4
    assert "lets domains run" in checks["apparmor"]["message"]


def test_life(domain):
    """Start, see, pause, save (refused), restarts of both daemons, console, end; as virsh shows it."""
    server = domain
    virsh(server, "start web")
    assert state(server) == "running"
    wait_until_it_runs(server)
    shown = kcorectl(server, "show web")[0]
    assert shown["guest"]["manager"] == "libvirt"
    assert shown["runtime"]["realm"]["state"] == "active"
    assert shown["runtime"]["unit"].startswith("machine-qemu")

    # Under libvirt's confinement, not ours.
    pid = shown["runtime"]["pid"]
    uuid = virsh(server, "domuuid web").stdout.strip()
    assert "machine-qemu" in server.run(f"cat /proc/{pid}/cgroup").stdout
    assert server.run(f"stat -c %U /proc/{pid}").stdout.strip() == "libvirt-qemu"
    assert server.run(f"cat /proc/{pid}/attr/current").stdout.strip() == f"libvirt-{uuid} (enforce)"
    assert server.run(f"readlink /proc/{pid}/ns/mnt").stdout != server.run("readlink /proc/1/ns/mnt").stdout
    assert "kvm,device=/dev/fdset/" in server.run(f"tr '\\0' ' ' </proc/{pid}/cmdline").stdout

    info = virsh(server, "dominfo web").stdout
    assert re.search(r"CPU\(s\):\s+2$", info, re.M) and re.search(r"Max memory:\s+65536 KiB", info)
    assert re.search(r"Security label:\s+libvirt-\S+ \(enforcing\)", info), info
    stats = virsh(server, "domstats --state --cpu-total --vcpu web").stdout
    assert "vcpu.current=2" in stats and int(re.search(r"cpu\.time=(\d+)", stats)[1]) > 0

    virsh(server, "suspend web")
    assert state(server) == "paused"
    virsh(server, "resume web")
    assert state(server) == "running"

    for save in "managedsave web", "save web /srv/web.save", "snapshot-create-as web --memspec /srv/web.memory":
        r = virsh(server, save, check=False)
        assert r.code != 0 and "does not support vGICv3 migration" in r.stderr, r
        assert state(server) == "running"

    server.run("systemctl restart libvirtd kcoresd", timeout=300)
    assert state(server) == "running"
    assert kcorectl(server, "show web")[0]["runtime"]["realm"]["state"] == "active"

    # kcorectl leaves to libvirt what is libvirt's.
    _, code = kcorectl(server, "stop web", check=False)
    assert code == 7

    # The guest's own words, and its own end.
    console = Console(server, "web", "script -qfc 'virsh console --force web' /dev/null #")
    try:
        console.expect("Escape character is", TIMEOUT)
        console.send("hello")
        console.expect("HELLO", TIMEOUT)
        console.send("q")
        wait_for(server, lambda: state(server) == "shut off")
    finally:
        console.close()


def test_autostart_and_shutdown(domain):
    """libvirtd starts it when the machine starts (which a file remembers); the button ends it."""
    server = domain
    virsh(server, "autostart web")
    assert re.search(r"Autostart:\s+enable", virsh(server, "dominfo web").stdout)
    server.run("rm -f /run/libvirt/qemu/autostarted; systemctl restart libvirtd", timeout=300)
    wait_for(server, lambda: state(server) == "running")
    virsh(server, "autostart --disable web")
    wait_until_it_runs(server)
    virsh(server, "shutdown web")
    wait_for(server, lambda: state(server) == "shut off")
    assert virsh(server, "domstate --reason web").stdout.strip() == "shut off (shutdown)"


def test_from_another_machine(domain):
    """By ssh, as OpenStack, KubeVirt's tools and scripts do; the other machine is this one."""
    server = domain
    server.run("rm -f /root/.ssh/libvirt*; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/libvirt && "
               "cp /root/.ssh/authorized_keys /root/.ssh/before && cat /root/.ssh/libvirt.pub >>/root/.ssh/authorized_keys", timeout=300)
    uri = "'qemu+ssh://root@127.0.0.1/system?keyfile=/root/.ssh/libvirt&no_verify=1&no_tty=1'"
    try:
        virsh(server, f"-c {uri} start web")
        wait_until_it_runs(server)
        assert virsh(server, f"-c {uri} domstate web").stdout.strip() == "running"
        virsh(server, f"-c {uri} destroy web")
        assert state(server) == "shut off"
    finally:
        server.run("mv /root/.ssh/before /root/.ssh/authorized_keys; rm -f /root/.ssh/libvirt*")


def refused(server, *words):
    """virsh start says why, in words, and nothing runs."""
    r = virsh(server, "start web", check=False)
    assert r.code != 0, r
    for w in words:
        assert w in r.stderr, r
    assert state(server) == "shut off"
    assert server.run("pgrep -x 'qemu-system-aar|kcore-qemu' || true").stdout == ""


@pytest.mark.parametrize("edit, words", [
    ("s,/usr/bin/kcore-qemu,/usr/bin/qemu-system-aarch64,", ["not started unprotected"]),
    ("/kcore:realm/d", ["name no image"]),
    ("s,<vcpu.*,<vcpu>1</vcpu>,", ["2", "vCPUs", "both must agree"]),
    ("s,65536,131072,", ["128M of memory", "both must agree"]),
    ("s,</type>,</type><kernel>/srv/kernel</kernel>,", ["remove <kernel>"]),
    ("/hard_limit/d", ["hard_limit"]),
], ids=["emulator", "metadata", "vcpus", "memory", "kernel", "limit"])
def test_edited(domain, edit, words):
    domain.run("head -c 4096 /dev/zero >/srv/kernel; "
               f"sed -e '{edit}' /srv/web.xml >/srv/edited.xml && ! cmp -s /srv/web.xml /srv/edited.xml && virsh define /srv/edited.xml",
               timeout=600)
    try:
        refused(domain, *words)
    finally:
        virsh(domain, "define /srv/web.xml")


@pytest.mark.parametrize("break_it, repair, words", [
    ("systemctl stop kcoresd.socket kcoresd.service", "systemctl start kcoresd.socket", ["kcoresd can not be reached"]),
    # As on a kernel that does not know KCore.
    ("mv /dev/kcore /dev/kcore-away", "mv /dev/kcore-away /dev/kcore",
     ["can not be a realm on this machine: kernel with KCore support: ", "Install the KServ kernel package and boot it."]),
    # Nothing was armed, so the emulator refuses; libvirtd looks for hooks when it starts.
    ("mv /etc/libvirt/hooks/qemu.d/kcore /srv/hook && systemctl restart libvirtd",
     "mv /srv/hook /etc/libvirt/hooks/qemu.d/kcore && systemctl restart libvirtd", ["kcore-qemu: no launch is armed for domain"]),
    ("mv /usr/bin/kcore-libvirt-hook /srv/", "mv /srv/kcore-libvirt-hook /usr/bin/", ["install kcore-libvirt"]),
    ("mv /usr/bin/kcore-qemu /srv/", "mv /srv/kcore-qemu /usr/bin/", ["/usr/bin/kcore-qemu"]),
    (f"cp {IMAGE} /srv/good.kci && dd if=/dev/urandom of={IMAGE} bs=1 seek=100 count=16 conv=notrunc", f"mv /srv/good.kci {IMAGE}",
     ["the image can not be used"]),
], ids=["daemon", "kernel", "hook", "hook-program", "wrapper", "image"])
def test_missing(domain, break_it, repair, words):
    domain.run(break_it, timeout=300)
    try:
        refused(domain, *words)
    finally:
        domain.run(repair, timeout=300)


def test_not_the_domains_process(domain):
    """Another process of libvirt's user can not take the launch."""
    domain.run("systemctl start kcoresd && /etc/libvirt/hooks/qemu.d/kcore web prepare begin - </srv/web.xml")
    uuid = virsh(domain, "domuuid web").stdout.strip()
    r = domain.run(f"setpriv --reuid=libvirt-qemu --clear-groups kcore-qemu -machine virt -accel kvm -uuid {uuid}", check=False)
    assert r.code == 1 and "does not take this process for domain" in r.stderr, r
    # It did no harm: libvirt's own start arms anew.
    virsh(domain, "start web")
    wait_until_it_runs(domain)
    virsh(domain, "destroy web")


def test_dump(domain):
    """There is nothing to be had of its memory. libvirt refuses, or QEMU fails and the domain runs on; the formats that have QEMU
    itself look at the memory, which is not its own, end it."""
    server = domain
    virsh(server, "start web")
    wait_until_it_runs(server)
    for options, words in ("", "does not support vGICv3 migration"), ("--memory-only", "failed to save memory: Bad address"):
        r = virsh(server, f"dump {options} web /srv/web.dump", check=False)
        assert r.code != 0 and words in r.stderr, r
        server.run("test ! -e /srv/web.dump")
        assert state(server) == "running"
    assert kcorectl(server, "show web")[0]["runtime"]["realm"]["state"] == "active"

    r = virsh(server, "dump --memory-only --format kdump-zlib web /srv/web.dump", check=False)
    assert r.code != 0, r
    server.run("test ! -e /srv/web.dump")
    wait_for(server, lambda: state(server) == "shut off")
    assert virsh(server, "domstate --reason web").stdout.strip() == "shut off (crashed)"
    wait_for(server, lambda: "it was killed, or crashed" in server.run("journalctl -n 20 KCORE_GUEST=web").stdout)


def rejected(verdict):
    return [c["claim"] for c in json.loads(verdict)["claims"] if c["verdict"] == "rejected"]


def test_attest(server, libvirt, tmp_path):
    """By the domain's name: on the server, and by its tenant from outside. Another domain beside "web", a whole Linux."""
    initrd = (DISK_IMAGE / "initrd.img").read_bytes()
    (tmp_path / "initrd").write_bytes(append_archive(initrd, cpio({"serve": SERVE})))
    tenant("image", "key", "-o", tmp_path / "tenant.pem")
    tenant("image", "build", "-o", tmp_path / "attested.kci", "--kernel", DISK_IMAGE / "Image", "--initrd", tmp_path / "initrd",
           "--append", "console=ttyAMA0 rdinit=/usr/bin/sh lsm=capability quiet -- /serve", "--memory", "512M")
    tenant("image", "sign", tmp_path / "attested.kci", "--key", tmp_path / "tenant.pem")
    before = memory_in_use(server)
    server.run("kcorectl platform -o /srv/server.kplat")
    (tmp_path / "server.kplat").write_bytes(server.get("/srv/server.kplat"))
    tenant("measure", tmp_path / "attested.kci", "--platform", tmp_path / "server.kplat", "--kcore", server.config.kcore,
           "-o", tmp_path / "reference")
    other = json.loads((tmp_path / "reference").read_text())
    other["realm"]["initialMeasurement"] = "00" * 32
    (tmp_path / "other").write_text(json.dumps(other))
    for f in "attested.kci", "reference", "other":
        server.put(tmp_path / f, f"/srv/{f}")
    sector = os.urandom(512)
    server.run("cat >/srv/attested.raw && truncate -s 1M /srv/attested.raw", input=sector)
    ordinary = ORDINARY.replace("<name>web", "<name>attested").replace("    <controller type='usb' model='none'/>\n", DEVICES)
    server.run("ip link add kcore-test type bridge && ip address add 192.0.2.1/24 dev kcore-test && ip link set kcore-test up")
    server.run("kcorectl define - --image /srv/attested.kci && virsh start attested", input=ordinary, timeout=TIMEOUT)
    try:
        nonce = os.urandom(64).hex()

        def token():
            # 5: there is none to be had now: the realm or its agent does not run yet.
            r = server.run(f"kcorectl attest attested --nonce {nonce} -o -", check=False, text=False, timeout=600)
            assert r.code in (0, 5), r
            (tmp_path / "token").write_bytes(r.stdout)
            return r.code == 0
        wait_for(server, token)
        verify = ("verify", tmp_path / "token", "--agent", "--platform", tmp_path / "server.kplat")
        tenant(*verify, "--reference", tmp_path / "reference", "--nonce", nonce)
        verdict = tenant(*verify, "--reference", tmp_path / "reference", "--nonce", os.urandom(64).hex(), code=1)
        assert rejected(verdict) == ["challenge"]
        verdict = tenant(*verify, "--reference", tmp_path / "other", "--nonce", nonce, code=1)
        assert rejected(verdict) == ["initialMeasurement"]

        for reference, want in ("reference", (0, "accepted")), ("other", (1, "rejected")):
            verdict, code = kcorectl(server, f"attest attested --reference /srv/{reference} --platform /srv/server.kplat", check=False)
            assert (code, verdict["verdict"]) == want, verdict

        disk = server.get("/srv/attested.raw")
        assert disk[:512] == disk[512:1024] == sector
        addresses = re.findall(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", virsh(server, "domiflist attested").stdout)
        answered = [disk[at:at + 512].rstrip(b"\0").decode() for at in (1024, 1536)]
        assert answered == [f"{address}\n" for address in addresses]
        server.run("grep -h ^vhost- /proc/$(pidof qemu-system-aarch64)/task/*/comm")
    finally:
        server.run("virsh destroy attested; virsh undefine attested; kcorectl stop attested; ip link delete kcore-test; "
                   "rm -f /srv/attested.*", check=False, timeout=300)
    assert memory_in_use(server) == before
