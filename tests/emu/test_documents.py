# SPDX-License-Identifier: Apache-2.0
"""docs/tenant.md and docs/operator.md, word for word: their commands run in their order, on this machine and on the
emulated server. Of the documents, only the prompts say where a command runs."""

import hashlib
import os
import pathlib
import re
import shlex
import subprocess

import cbor2
import pytest

import rom
from guestlib import DISK_IMAGE as IMAGE, Console, append_archive, cpio, kserv, memory_in_use, tiny_image
from test_broker import server as disk_server  # noqa: F401  (with the encrypted image's disk)

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
TOOLS = os.path.join(kserv.cache_dir(), "build/native/kcorectl")
GUEST_BOOT_TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))

pytestmark = pytest.mark.timeout(1800)


def commands(name):
    """(prompt, command) of each line of the console blocks."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", (DOCS / name).read_text(), re.M | re.S):
        for line in block.splitlines():
            prompt, _, command = line.partition(" ")
            assert prompt in ("tenant$", "server#"), line
            found.append((prompt, command))
    return found


class Tenant:
    """The tenant's shell: a directory, and variables that its lines set."""

    def __init__(self, directory, **variables):
        self.directory, self.variables = directory, variables

    def run(self, command):
        env = {"PATH": f"{TOOLS}:{os.environ['PATH']}", "LANG": "C.UTF-8", **self.variables}
        done = subprocess.run(["bash", "-ec", command + "\nprintf '\\0%s' \"${NONCE-}\""], cwd=self.directory, env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        out, _, nonce = done.stdout.rpartition("\0")
        self.variables["NONCE"] = nonce
        return out


def root_of(server):
    """What the machine's maker says of it."""
    secret = pathlib.Path(server.path("machine-secret")).read_bytes()
    return hashlib.sha256(cbor2.dumps(rom.cose_key(rom.ed25519(secret, b"", b"uds key pair")))).hexdigest()


def test_tenant(disk_server, tmp_path):  # noqa: F811
    server = disk_server
    initrd = (IMAGE / "initrd.img").read_bytes()
    (tmp_path / "vmlinuz").symlink_to(IMAGE / "Image")
    (tmp_path / "initrd.img").write_bytes(
        append_archive(initrd, cpio({"etc/kcore/disk.key": (IMAGE / "disk.key").read_bytes()})))
    (tmp_path / "cmdline").write_text((IMAGE / "cmdline").read_text().strip())
    (tmp_path / "kcore.bin").symlink_to(server.config.kcore)
    tenant = Tenant(tmp_path, ROOT=root_of(server))
    server.run("mkdir /run/operator")
    said, console = [], None
    try:
        for prompt, command in commands("tenant.md"):
            if prompt == "tenant$":
                said.append(tenant.run(command))
            else:
                # Files go from one to the other by mail, or however.
                for name in set(shlex.split(command)) & {p.name for p in tmp_path.iterdir()}:
                    server.put(tmp_path / name, f"/run/operator/{name}", mode=0o644)
                nonce = shlex.quote(tenant.variables.get("NONCE", ""))
                said.append(server.run(f"cd /run/operator && NONCE={nonce} && {command}", timeout=600).stdout)
                for name in set(server.run("ls /run/operator").stdout.split()) - {p.name for p in tmp_path.iterdir()}:
                    (tmp_path / name).write_bytes(server.get(f"/run/operator/{name}"))
            if command.startswith("kcorectl launch"):
                console = Console(server, "web")
                console.log_in(GUEST_BOOT_TIMEOUT)
                console.run("systemctl is-system-running --wait", check=False, timeout=300)     # the agent is up
    finally:
        if console:
            console.close()
        server.run("kcorectl stop --force web; rm -rf /run/operator", check=False)
    assert "The token is accepted." in said[-1]
    assert sum(command.startswith("kcorectl") for _, command in commands("tenant.md")) == len(said) - 1 == 10


def test_operator(server, tmp_path):
    """The guest is a few instructions that wait for ever: it has no power button."""
    (tmp_path / "Image").write_bytes(tiny_image())
    subprocess.run([f"{TOOLS}/kcorectl", "image", "build", "-o", tmp_path / "web.kci", "--name", "web", "--kernel",
                    tmp_path / "Image", "--memory", "64M"], check=True, capture_output=True)
    before = memory_in_use(server)
    server.run("mkdir /run/operator")
    server.put(tmp_path / "web.kci", "/run/operator/web.kci")
    ran = commands("operator.md")
    try:
        said = [server.run(f"cd /run/operator && {command}").stdout for prompt, command in ran]
    finally:
        server.run("kcorectl stop --force --all; systemctl disable --now kcore-metrics.socket; rm -r /run/operator", check=False)
    said = dict(zip((command for _, command in ran), said))
    assert len(said) == 14
    assert "running" in said["kcorectl list"] and "web" in said["kcorectl top --iterations 1 --delay 1"]
    assert said["kcorectl stop web --timeout 5"] == "Stopped web by force: it did not power off in time.\n"
    assert memory_in_use(server) == before
