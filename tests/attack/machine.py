# SPDX-License-Identifier: Apache-2.0
"""The small attack machine: KCore, the KServ kernel, and host/attack.c as its only process, which does
what the test says, over the serial console. It boots in seconds, so that each weakened KCore can have
one. Its host is the attacker: it drives the core by raw RMI calls (rmi.py)."""

import os
import socket
import struct
import time

import kserv


class Refused(Exception):
    """The machine did not let the attacker do it: EFAULT, SIGBUS, ..."""


class Dead(Exception):
    """The machine stopped answering."""


class Machine(kserv.Server):
    def __init__(self, name, kcore, kernel, initrd, cpus=2, memory="1G", machine="", append="",
                 devices=()):
        super().__init__(name, kserv.Config(kcore=kcore, kernel=kernel, initrd=initrd, cpus=cpus,
                                            memory=memory, append=append, host_image="/nonexistent",
                                            rom=False, overlay=[]))
        self.machine_options = machine
        self.config.devices = list(devices)
        self.socket = None
        self.buffer = b""

    def _check_config(self):
        for path in (self.config.kcore, self.config.kernel, self.config.initrd):
            if not path or not os.path.exists(path):
                raise kserv.ServerError(f"{path} does not exist")

    def qemu_command(self):
        c = self.config
        bootargs = f"console=ttyAMA0 rdinit=/init panic=-1 {c.append}".strip()
        machine = "virt,virtualization=on,gic-version=3,iommu=smmuv3," + (self.machine_options or "its=off")
        return [c.qemu, "-name", self.name, "-nodefaults", "-display", "none", "-no-reboot",
                "-M", machine, "-cpu", c.cpu, "-smp", str(c.cpus), "-m", c.memory,
                "-accel", "tcg,thread=multi,tb-size=128",
                "-chardev", f"socket,id=con,path=console.sock,server=on,wait=off,logfile={self.path('console.log')}",
                "-serial", "chardev:con", "-qmp", "unix:qmp.sock,server=on,wait=off",
                "-kernel", c.kcore, "-append", c.kcore_append,
                "-device", f"guest-loader,addr={kserv.KERNEL_ADDR:#x},kernel={c.kernel},"
                           f"bootargs={bootargs.replace(',', ',,')}",
                "-device", f"guest-loader,addr={kserv.INITRD_ADDR:#x},initrd={c.initrd}",
                "-device", "lsi53c895a,addr=5",
                *(word for device in c.devices for word in ("-device", device))]

    def boot(self, timeout=120):
        self.start(die_with_parent=True)
        end = time.monotonic() + timeout
        while True:
            try:
                self.socket = self._connect("console.sock", timeout=timeout)
                break
            except OSError:
                if time.monotonic() > end or not self.running():
                    raise
                time.sleep(0.05)
        if self._answer(timeout) != ["ready"]:
            raise Dead(f"the attack machine did not come up{self._tail()}")
        return self

    def stop(self):
        if self.socket:
            self.socket.close()
            self.socket = None
        super().stop()

    def physical(self, pa, length):
        """What memory holds, from outside the machine. Not the attacker's: the judge's."""
        file = self.path("memory")
        self.qmp("pmemsave", val=pa, size=length, filename=file)
        with open(file, "rb") as f:
            return f.read()

    # --- the attacker's hands ------------------------------------------------------

    def _answer(self, timeout):
        """The next line that begins with "@ "; all others are the kernel's."""
        end = time.monotonic() + timeout
        while True:
            line, newline, rest = self.buffer.partition(b"\n")
            if newline:
                self.buffer = rest
                at = line.find(b"@ ")
                if at >= 0:
                    return line[at + 2:].decode(errors="replace").split()
                continue
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                raise Dead(f"no answer within {timeout} s{self._tail()}") from None
            except ConnectionResetError:
                data = b""
            if not data:
                raise Dead(f"the machine ended{self._tail()}")
            self.buffer += data

    def do(self, *words, timeout=60):
        text = " ".join(f"{w:x}" if isinstance(w, int) else w for w in words)
        self.socket.sendall(text.encode() + b"\n")
        answer = self._answer(timeout)
        if answer[0] != "ok":
            raise Refused(" ".join(answer))
        return answer[1:]

    def alive(self):
        return int(self.do("pid", timeout=20)[0], 16) == 1

    def smc(self, *x):
        return [int(v, 16) for v in self.do("smc", *x)]

    def alloc(self, order=0):
        return int(self.do("alloc", order)[0], 16)

    def free(self, pa, order=0):
        self.do("free", pa, order)

    def read(self, pa, length=8, how="l"):
        """how: l linear map, c cached alias, d device mapping; u: user space."""
        if how == "u":
            return bytes.fromhex(self.do("urd", pa, length)[0])
        return bytes.fromhex(self.do("rd", how, pa, length)[0])

    def write(self, pa, data, how="l"):
        for i in range(0, len(data), 1024):
            part = data[i:i + 1024].hex()
            if how == "u":
                self.do("uwr", pa + i, part)
            else:
                self.do("wr", how, pa + i, part)

    def read_words(self, pa, length):
        """Sparse: {offset: word} of the words that are not 0."""
        return {int(o, 16): int(v, 16) for o, v in (item.split("=") for item in self.do("rdw", pa, length))}

    def write_words(self, pa, length, words):
        """Zeroes, but for words = {offset: word}."""
        self.do("wrw", pa, length, *(f"{o:x}={v:x}" for o, v in words.items() if v))

    def word(self, pa, how="l"):
        return int.from_bytes(self.read(pa, 8, how), "little")

    def execute(self, pa, how="l"):
        return int(self.do("uexec" if how == "u" else "exec", pa)[0], 16)

    def race(self, milliseconds, *threads):
        """threads: (cpu, [call, ...]), a call being [x0, x1, ...], or [0, microseconds] to sleep. Returns, per
        thread and call, how often each x0 came back."""
        text = " / ".join(f"{cpu:x}: " + " ; ".join(" ".join(f"{x:x}" for x in call) for call in calls)
                          for cpu, calls in threads)
        counts = [[{} for _ in calls] for _, calls in threads]
        for item in self.do("race", milliseconds, text, timeout=milliseconds / 1000 + 60):
            where, what = item.split("=")
            thread, call = (int(n) for n in where.split("."))
            status, count = (int(n, 16) for n in what.split("*"))
            counts[thread][call][status] = count
        return counts

    # --- a device under the attacker's control ------------------------------------------------
    #
    # QEMU's LSI 53C895A: its script processor has an instruction that copies memory to memory by DMA,
    # with 32-bit addresses. The script itself is fetched by DMA from the host's memory.

    LSI = "0000:00:05.0"
    DSTAT, ISTAT, DSP = 0x0c, 0x14, 0x2c

    def device_start(self):
        sysfs = f"/sys/bus/pci/devices/{self.LSI}"
        assert self.do("file", f"{sysfs}/config", 0, 4)[0] == "00101200"
        self.do("file", f"{sysfs}/enable", 0, 1, b"1".hex())
        self.do("file", f"{sysfs}/config", 4, 2, "0700")   # memory, I/O, bus master
        self.script = self.alloc()

    def dma_copy(self, source, destination, length):
        """The device copies memory; True if it says that it did."""
        self.write(self.script, struct.pack("<5I", 0xc0000000 | length, source, destination, 0x98080000, 0))
        self.do("bar", self.LSI, self.DSTAT, 4)
        self.do("bar", self.LSI, self.DSP, 4, self.script)
        done = int(self.do("bar", self.LSI, self.ISTAT, 4)[0], 16) & 1
        self.do("bar", self.LSI, self.DSTAT, 4)
        return bool(done)
