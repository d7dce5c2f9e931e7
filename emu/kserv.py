# SPDX-License-Identifier: Apache-2.0
"""The emulated server: QEMU's arm64 "virt" board under TCG, with KCore at EL2
and Linux (KServ) at EL1 on a Debian root file system.

    with Server("demo", Config(kcore="kcore.bin", kernel="Image", ...)) as s:
        s.wait_ssh()
        print(s.run("uname -a").stdout)

A server has a state directory, $KCORE_CACHE/servers/NAME, with everything that
one needs to look at afterwards: console.log (the whole serial console),
qemu.log, config.json, and machine-secret, which makes it the machine it is
(emu/rom.py). Images are never written: each server writes to
temporary overlays that vanish with it. A server is running exactly as long as
its QEMU holds the lock on STATE/lock; that holds across containers, in which
process ids mean nothing.
"""

import dataclasses
import errno
import fcntl
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time

HANDOVER_ADDR = 0x4f000000
KERNEL_ADDR = 0x50000000
INITRD_ADDR = 0x58000000

# What the kernel prints when something is wrong with it.
COMPLAINTS = re.compile(
    r"Kernel panic|Internal error|\bOops\b|BUG: |\bWARNING: |Unable to handle kernel|"
    r"rcu: INFO: .*stall|soft lockup|blocked for more than|synchronous external abort|"
    r"I/O error|EXT4-fs error")


class ServerError(Exception):
    pass


def cache_dir():
    base = os.environ.get("KCORE_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kcore")
    return base


def servers_dir():
    return os.path.join(cache_dir(), "servers")


def _path(variable, *default):
    """A path from the environment, otherwise where ./kcore builds it."""
    def find():
        return os.environ.get(variable) or (os.path.join(cache_dir(), *default) if default else None)
    return dataclasses.field(default_factory=find)


def _overlays():
    if "KCORE_OVERLAY" in os.environ:
        return [d for d in os.environ["KCORE_OVERLAY"].split(":") if d]
    d = os.path.join(cache_dir(), "build", "userland-root")
    return [d] if os.path.isdir(d) else []


@dataclasses.dataclass
class Config:
    """What a server is made of."""
    kcore: str = _path("KCORE_BIN", "build", "hyp", "hyp", "kcore.bin")
    kernel: str = _path("KCORE_KERNEL", "kserv", "current", "Image")
    initrd: str = _path("KCORE_INITRD")                         # KServ needs none
    host_image: str = _path("KCORE_HOST_IMAGE", "host-image")   # directory
    guest_image: str = _path("KCORE_GUEST_IMAGE", "guest-image")   # directory, "" for none
    overlay: list = dataclasses.field(default_factory=_overlays)   # directories laid over /
    mode: str = "kcore"      # "kcore"; "plain": Linux at EL2, no KCore; "el1": Linux at EL1, nothing at EL2;
                             # "uefi": firmware starts what is on the disk
    disk: str = ""           # mode uefi: the disk as it is when the server is new; what it writes is its own
    forget: bool = False     # mode uefi: what this run writes to the disk is gone when it ends
    acpi: bool = False       # mode uefi: the machine describes itself by ACPI, not by device tree
    firmware: str = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
    cpu: str = "neoverse-n1"
    cpus: int = 4
    memory: str = "4G"
    append: str = ""         # more kernel options
    kcore_append: str = "kcore"   # KCore's own options
    rom: bool = True         # the ROM hands KCore its identity (emu/rom.py)
    machine_secret: str = ""     # file with the secret of the machine's fuses; "": one of the server's own
    icount: str = ""         # -icount value, for measurements
    devices: list = dataclasses.field(default_factory=list)    # -device values
    qemu_args: list = dataclasses.field(default_factory=list)
    port: int = 0            # local port of the server's ssh, 0: any free one
    reboot: bool = False     # a reset restarts the server; otherwise it ends it
    qemu: str = "qemu-system-aarch64"


def unit_links(files):
    """The links `systemctl preset` would make for the units in files, a dict
    name -> content, which may have presets that disable some: (link, target) pairs."""
    links = []
    disabled = {unit for name, text in files.items() if name.endswith(".preset")
                for unit in re.findall(r"^disable\s+(\S+)", text, re.MULTILINE)}
    for name, text in files.items():
        if not re.fullmatch(r"(usr/)?lib/systemd/system/[^/@]+\.(service|socket|timer|path)", name):
            continue
        unit = os.path.basename(name)
        if unit in disabled:
            continue
        section = ""
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("["):
                section = line
            m = re.match(r"(WantedBy|RequiredBy|Alias)\s*=\s*(.*)", line)
            if not m or section != "[Install]":
                continue
            for other in m[2].split():
                kind = {"WantedBy": f"{other}.wants/{unit}", "RequiredBy": f"{other}.requires/{unit}",
                        "Alias": other}[m[1]]
                links.append((f"etc/systemd/system/{kind}", "/" + name))
    return links


def write_overlay(directories, path):
    """One tar of the directories' trees, owned by root, their units enabled."""
    units = {}
    names = set()

    def own(info):
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mode |= 0o600
        return info

    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for top in directories:
            if not os.path.isdir(top):
                raise ServerError(f"overlay {top} is not a directory")
            for here, dirs, files in os.walk(top):
                dirs.sort()
                for f in sorted(files) + [d for d in dirs if os.path.islink(os.path.join(here, d))]:
                    full = os.path.join(here, f)
                    name = os.path.relpath(full, top)
                    tar.add(full, name, recursive=False, filter=own)
                    names.add(name)
                    if re.search("systemd/system(-preset)?/", name) and not os.path.islink(full):
                        with open(full, encoding="utf-8", errors="replace") as unit:
                            units[name] = unit.read()
        for link, target in unit_links(units):
            if link in names:
                continue
            info = tarfile.TarInfo(link)
            info.type = tarfile.SYMTYPE
            info.linkname = target
            tar.addfile(own(info), io.BytesIO())


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Result:
    """What a command on the server printed and returned."""

    def __init__(self, command, code, stdout, stderr):
        self.command, self.code, self.stdout, self.stderr = command, code, stdout, stderr

    def __repr__(self):
        return f"<{self.command!r} -> {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}>"


class Server:
    def __init__(self, name="kserv", config=None):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise ServerError(f"bad server name {name!r}")
        self.name = name
        self.dir = os.path.join(servers_dir(), name)
        self.config = config
        self.process = None
        self._read_from = 0      # console.log offset up to which expect_console looked
        if config is None:
            try:
                with open(self.path("config.json"), encoding="utf-8") as f:
                    known = {field.name for field in dataclasses.fields(Config)}
                    self.config = Config(**{k: v for k, v in json.load(f).items() if k in known})
            except FileNotFoundError:
                raise ServerError(f"there is no server '{name}'") from None

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    # --- life -----------------------------------------------------------

    def qemu_command(self, rom=True):
        c = self.config
        # QEMU's ACPI tables have an ITS in any case.
        machine = "virt,gic-version=3" + ("" if c.mode == "uefi" and c.acpi else ",its=off")
        if c.mode in ("kcore", "plain", "uefi"):
            machine += ",virtualization=on"
        if c.mode in ("kcore", "uefi"):
            machine += ",iommu=smmuv3"
        if c.mode == "uefi":
            machine += ",acpi=on" if c.acpi else ",acpi=off"
        args = [c.qemu, "-name", f"{self.name},debug-threads=on", "-nodefaults", "-display", "none",
                "-M", machine, "-cpu", c.cpu, "-smp", str(c.cpus), "-m", c.memory,
                "-accel", "tcg" if c.icount else "tcg,thread=multi,tb-size=512",
                "-chardev", f"socket,id=con,path=console.sock,server=on,wait=off,logfile={self.path('console.log')}",
                "-serial", "chardev:con", "-qmp", "unix:qmp.sock,server=on,wait=off"]
        if c.icount:
            args += ["-icount", c.icount]
        if not c.reboot:
            args += ["-no-reboot"]

        bootargs = ["console=ttyAMA0", "root=/dev/vda", "rw", "init=/usr/lib/kserv/init",
                    "net.ifnames=0", "panic=-1", "kpti=off", "systemd.show_status=no"]
        disks = [os.path.join(c.host_image, "root.ext4")] if c.mode != "uefi" else []
        if c.overlay and c.mode != "uefi":
            disks.append("overlay.tar")
            bootargs.append("KSERV_OVERLAY=vd" + "abcdef"[len(disks) - 1])
        if c.guest_image:
            disks.append(os.path.join(c.guest_image, "disk.ext4"))
            bootargs.append("KSERV_GUEST=vd" + "abcdef"[len(disks) - 1])
            disks.append(os.path.join(c.guest_image, "root.ext4"))
            bootargs.append("KSERV_GUEST_ROOT=vd" + "abcdef"[len(disks) - 1])
        if c.mode == "plain":
            bootargs.append("kvm-arm.mode=nvhe")
        if c.append:
            bootargs.append(c.append)
        bootargs = " ".join(bootargs)

        if c.mode == "kcore":
            args += ["-kernel", c.kcore, "-append", c.kcore_append, "-device",
                     f"guest-loader,addr={KERNEL_ADDR:#x},kernel={c.kernel},bootargs={bootargs.replace(',', ',,')}"]
            if c.initrd:
                args += ["-device", f"guest-loader,addr={INITRD_ADDR:#x},initrd={c.initrd}"]
            if c.rom and rom:
                args += ["-dtb", "machine.dtb",
                         "-device", f"loader,file=handover.bin,addr={HANDOVER_ADDR:#x},force-raw=on"]
        elif c.mode == "uefi":
            args += ["-bios", c.firmware]
        else:
            args += ["-kernel", c.kernel, "-append", bootargs]
            if c.initrd:
                args += ["-initrd", c.initrd]

        # Legacy or platform-unaware virtio devices would pass the SMMU by.
        virtio = "disable-legacy=on,iommu_platform=on"
        args += ["-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{c.port}-:22",
                 "-device", f"virtio-net-pci,netdev=net0,romfile=,addr=1,{virtio}"]
        if c.mode == "uefi":
            args += ["-drive", "file=disk.qcow2,format=qcow2,if=none,id=disk,cache=unsafe" + (",snapshot=on" if c.forget else ""),
                     "-device", f"virtio-blk-pci,drive=disk,addr=8,bootindex=0,{virtio}"]
        for i, disk in enumerate(disks):
            args += ["-drive", f"file={disk},format=raw,if=none,id=disk{i},snapshot=on,cache=unsafe",
                     "-device", f"virtio-blk-pci,drive=disk{i},addr={i + 2},{virtio}"]
        for device in c.devices:
            args += ["-device", device]
        return args + list(c.qemu_args)

    def _play_rom(self):
        """Puts KCore's hand-over where the machine's memory will have it, and
        the node that says so into the machine's device tree."""
        import rom
        with open(self.config.kcore, "rb") as f:
            handover = rom.handover(rom.machine_secret(self.config.machine_secret or self.path("machine-secret")), f.read())
        if len(handover) > rom.REGION_SIZE:
            raise ServerError("the hand-over does not fit")
        with open(os.open(self.path("handover.bin"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(handover.ljust(rom.REGION_SIZE, b"\0"))
        # QEMU's own tree, with nothing of this machine running.
        command = self.qemu_command(rom=False)
        machine = command.index("-M") + 1
        command[machine] += ",dumpdtb=machine.dtb"
        node = f"/reserved-memory/dice@{HANDOVER_ADDR:x}"
        for args in (command,
                     ["fdtput", "-c", "machine.dtb", "/reserved-memory", node],
                     ["fdtput", "-t", "x", "machine.dtb", "/reserved-memory", "#address-cells", "2"],
                     ["fdtput", "-t", "x", "machine.dtb", "/reserved-memory", "#size-cells", "2"],
                     ["fdtput", "-t", "bx", "machine.dtb", "/reserved-memory", "ranges"],
                     ["fdtput", "-t", "s", "machine.dtb", node, "compatible", "google,open-dice"],
                     ["fdtput", "-t", "x", "machine.dtb", node, "reg", "0", f"{HANDOVER_ADDR:x}", "0",
                      f"{rom.REGION_SIZE:x}"]):
            r = subprocess.run(args, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env={**os.environ, "TMPDIR": self.dir})
            if r.returncode:
                raise ServerError(f"{args[0]} could not make the machine's device tree: {r.stdout.strip()}")

    def _own_disk(self):
        """What the server writes to its disk outlives it, until it is removed."""
        if not os.path.exists(self.path("disk.qcow2")):
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.config.disk,
                            self.path("disk.qcow2")], check=True)

    def _check_config(self):
        c = self.config
        if c.mode not in ("kcore", "plain", "el1", "uefi"):
            raise ServerError(f"unknown mode '{c.mode}'")
        need = {"the host image": c.host_image}
        need |= {"the disk": c.disk, "the firmware": c.firmware} if c.mode == "uefi" else {"the kernel": c.kernel}
        if c.mode == "kcore":
            need["kcore.bin"] = c.kcore
        for what, value in need.items():
            if not value:
                raise ServerError(f"no path to {what} was given")
        for field in ("disk", "firmware", "host_image", "guest_image") if c.mode == "uefi" else \
                ("kcore", "kernel", "initrd", "host_image", "guest_image"):
            value = getattr(c, field)
            if value:
                if not os.path.exists(value):
                    raise ServerError(f"{value} does not exist")
                setattr(c, field, os.path.abspath(value))
        c.overlay = [os.path.abspath(d) for d in c.overlay]

    def start(self, die_with_parent=False):
        """Starts QEMU and returns at once. With die_with_parent the server is
        killed when the calling thread's process ends, however it ends."""
        self._check_config()
        os.makedirs(self.dir, exist_ok=True)
        lock = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as e:
                if e.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise ServerError(f"server '{self.name}' is already running") from None
            for old in ("console.log", "console.sock", "qmp.sock", "ssh.sock", "overlay.tar", "qemu.log",
                        "machine.dtb", "handover.bin"):
                try:
                    os.unlink(self.path(old))
                except FileNotFoundError:
                    pass
            if self.config.mode == "uefi":
                self._own_disk()
            elif self.config.overlay:
                write_overlay(self.config.overlay, self.path("overlay.tar"))
            if not self.config.port:
                self.config.port = free_port()
            with open(self.path("config.json"), "w", encoding="utf-8") as f:
                json.dump(dataclasses.asdict(self.config), f, indent=1)
            if self.config.mode == "kcore" and self.config.rom:
                self._play_rom()
            open(self.path("console.log"), "w", encoding="utf-8").close()
            self._read_from = 0

            def in_child():
                os.setsid()
                if die_with_parent:
                    import ctypes
                    ctypes.CDLL(None).prctl(1, signal.SIGKILL)   # PR_SET_PDEATHSIG

            with open(self.path("qemu.log"), "w", encoding="utf-8") as log:
                self.process = subprocess.Popen(
                    self.qemu_command(), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    pass_fds=[lock], preexec_fn=in_child,
                    env={**os.environ, "TMPDIR": self.dir})
            with open(self.path("pid"), "w", encoding="utf-8") as f:
                print(self.process.pid, file=f)
        finally:
            os.close(lock)
        self.started = time.monotonic()
        return self

    def running(self):
        if self.process is not None and self.process.poll() is not None:
            return False
        try:
            lock = os.open(self.path("lock"), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except OSError:
            return True
        finally:
            os.close(lock)

    def wait_end(self, timeout):
        """Waits for QEMU to end by itself; says whether it did."""
        end = time.monotonic() + timeout
        while self.running():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def stop(self):
        """Pulls the plug. Nothing of the server is left when this returns."""
        if self.running():
            try:
                self.qmp("quit")
            except (OSError, ServerError):
                pass
            if not self.wait_end(3):
                for sig in (signal.SIGTERM, signal.SIGKILL):
                    pid = self.pid()
                    if pid:
                        os.kill(pid, sig)
                    if self.wait_end(5):
                        break
                else:
                    raise ServerError(f"server '{self.name}' could not be stopped; see {self.dir}")
        if self.process is not None:
            self.process.wait()
        # The ssh master ends with its connection.
        for f in ("console.sock", "qmp.sock", "ssh.sock", "overlay.tar", "pid", "handover.bin", "machine.dtb"):
            try:
                os.unlink(self.path(f))
            except FileNotFoundError:
                pass

    def pid(self):
        """QEMU's process id, if it is visible here and really is this server's."""
        try:
            with open(self.path("pid"), encoding="utf-8") as f:
                pid = int(f.read())
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if self.path("console.log").encode() in f.read():
                    return pid
        except (OSError, ValueError):
            pass
        return None

    def __enter__(self):
        return self.start(die_with_parent=True)

    def __exit__(self, *_):
        self.stop()

    # --- control and console ---------------------------------------------

    def _connect(self, name, timeout=10):
        # Through /proc: socket paths are limited to 107 bytes.
        fd = os.open(self.dir, os.O_PATH | os.O_DIRECTORY)
        try:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(timeout)
            s.connect(f"/proc/self/fd/{fd}/{name}")
            return s
        finally:
            os.close(fd)

    def qmp(self, command, **arguments):
        with self._connect("qmp.sock") as s, s.makefile("rw", encoding="utf-8") as f:
            f.readline()
            for msg in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                f.write(json.dumps(msg) + "\n")
                f.flush()
                while True:
                    line = f.readline()
                    if not line:
                        if command == "quit":
                            return None
                        raise ServerError("QEMU closed its control socket")
                    answer = json.loads(line)
                    if "error" in answer:
                        raise ServerError(f"QEMU: {answer['error'].get('desc')}")
                    if "return" in answer:
                        break
            return answer["return"]

    def console_text(self):
        with open(self.path("console.log"), encoding="utf-8", errors="replace") as f:
            return f.read().replace("\r", "")

    def expect_console(self, pattern, timeout=60):
        """Waits until pattern (a regular expression) appears on the console
        after what earlier calls matched; returns the match."""
        end = time.monotonic() + timeout
        regex = re.compile(pattern)
        while True:
            m = regex.search(self.console_text(), self._read_from)
            if m:
                self._read_from = m.end()
                return m
            if not self.running():
                raise ServerError(f"server '{self.name}' ended while waiting for {pattern!r}{self._tail()}")
            if time.monotonic() > end:
                raise ServerError(f"{pattern!r} did not appear on the console within {timeout} s{self._tail()}")
            time.sleep(0.1)

    def console_send(self, text):
        with self._connect("console.sock") as s:
            s.sendall(text.encode())
            time.sleep(0.2)

    def complaints(self, since=0):
        """Console lines after offset `since` in which the kernel reports trouble."""
        return [line for line in self.console_text()[since:].splitlines() if COMPLAINTS.search(line)]

    def _tail(self, lines=25):
        text = "\n".join(self.console_text().splitlines()[-lines:])
        with open(self.path("qemu.log"), encoding="utf-8", errors="replace") as f:
            qemu = f.read().strip()
        return (f"\n--- end of {self.path('console.log')}\n{text}" + (f"\n--- QEMU said\n{qemu}" if qemu else ""))

    # --- ssh -----------------------------------------------------------------

    def ssh_command(self, *more):
        return ["ssh", "-F", "none", "-p", str(self.config.port), "-i", os.path.join(self.config.host_image, "ssh_key"),
                "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "KexAlgorithms=curve25519-sha256", "-o", "BatchMode=yes",
                "-o", "ControlPath=ssh.sock", *more, "root@127.0.0.1"]

    def ssh_banner(self):
        """Does a ssh server answer? QEMU accepts the connection in any case."""
        try:
            with socket.create_connection(("127.0.0.1", self.config.port), timeout=5) as s:
                return s.recv(4) == b"SSH-"
        except OSError:
            return False

    def wait_ssh(self, timeout=180, progress=None):
        """Waits until commands can be run; returns the seconds since start()."""
        began = getattr(self, "started", time.monotonic())
        end = time.monotonic() + timeout
        while not self.ssh_banner():
            if not self.running():
                raise ServerError(f"server '{self.name}' ended before it was up{self._tail()}")
            if "Kernel panic" in self.console_text():
                raise ServerError(f"the kernel of server '{self.name}' panicked{self._tail()}")
            if time.monotonic() > end:
                raise ServerError(f"server '{self.name}' was not up within {timeout} s{self._tail()}")
            if progress:
                lines = self.console_text().split("\n")
                progress(time.monotonic() - began, lines[-1] or (lines[-2] if len(lines) > 1 else ""))
            time.sleep(0.25)
        self._ssh_master(max(10, end - time.monotonic()))
        return time.monotonic() - began

    def _ssh_master(self, timeout=60):
        # One connection carries all commands: a handshake costs a second here.
        alive = subprocess.run(self.ssh_command("-O", "check"), cwd=self.dir, capture_output=True)
        if alive.returncode == 0:
            return
        r = subprocess.run(self.ssh_command("-M", "-N", "-f", "-o", f"ConnectTimeout={int(timeout)}",
                                            "-o", "ServerAliveInterval=15"),
                           cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, timeout=timeout + 10)
        if r.returncode:
            raise ServerError(f"ssh to server '{self.name}' failed: {r.stderr.strip()}{self._tail()}")

    def run(self, command, check=True, timeout=120, input=None, text=True):
        """Runs a shell command on the server as root."""
        if not self.running():
            raise ServerError(f"server '{self.name}' is not running{self._tail()}")
        self._ssh_master()
        p = subprocess.Popen(self.ssh_command() + ["--", command], cwd=self.dir,
                             stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = p.communicate(input.encode() if isinstance(input, str) else input, timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            raise ServerError(f"{command!r} took more than {timeout} s{self._tail()}") from None
        if text:
            out = out.decode(errors="replace")
        r = Result(command, p.returncode, out, err.decode(errors="replace"))
        if check and r.code:
            raise ServerError(f"{command!r} returned {r.code}\n--- stdout\n{r.stdout}\n--- stderr\n{r.stderr}")
        return r

    def put(self, local, remote, mode=None):
        """Copies a file to the server; `local` may be bytes."""
        if isinstance(local, bytes):
            data = local
        else:
            with open(local, "rb") as f:
                data = f.read()
            mode = mode or os.stat(local).st_mode & 0o777
        self.run(f"mkdir -p $(dirname '{remote}') && cat >'{remote}' && chmod {mode or 0o644:o} '{remote}'", input=data)

    def get(self, remote):
        """The content of a file on the server."""
        return self.run(f"cat '{remote}'", text=False).stdout


def servers():
    """The names of all servers that have a state directory."""
    try:
        return sorted(n for n in os.listdir(servers_dir()) if os.path.exists(os.path.join(servers_dir(), n, "config.json")))
    except FileNotFoundError:
        return []


def remove(name):
    s = Server(name)
    s.stop()
    shutil.rmtree(s.dir)
