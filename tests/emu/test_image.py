# SPDX-License-Identifier: Apache-2.0
"""Images (.kci) from a tenant's machine, this one, to realms on the emulated server: what was measured offline is
what KCore measures, and what was altered on the way does not run."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "image/tests"))
import kci  # noqa: E402

from guestlib import kcorectl, kserv, memory_in_use, read_identity, tiny_image

KCORECTL = os.path.join(kserv.cache_dir(), "build/native/kcorectl/kcorectl")
PAGES = 5    # of the kernel, each different
ON_SERVER = "/run/test.kci"


def tenant(*arguments):
    done = subprocess.run([KCORECTL, "--json", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A tenant's directory with a key and a kernel."""
    d = tmp_path_factory.mktemp("tenant")
    tenant("image", "key", "-o", d / "key.pem")
    (d / "kernel").write_bytes(tiny_image() + b"".join(bytes([i]) * kci.PAGE for i in range(1, PAGES)))
    return d


def signed(work, name="image", memory="64M", vcpus=1, *more):
    path = work / f"{name}.kci"
    path.unlink(missing_ok=True)
    tenant("image", "build", "-o", path, "--kernel", work / "kernel", "--memory", memory, "--vcpus", vcpus, *more)
    tenant("image", "sign", path, "--key", work / "key.pem")
    return path


@pytest.fixture(scope="module")
def sealed(boot_shared, work):
    """The bytes of an image that is sealed to the server, and of another of the same kernel."""
    (work / "server.kplat").write_bytes(read_identity(boot_shared()))
    files = []
    for name in ("one", "two"):
        out = work / f"sealed-{name}.kci"
        tenant("image", "seal", signed(work, name), "--to", work / "server.kplat", "-o", out)
        files.append(out.read_bytes())
    return files


def launch(server, data, code=0):
    """Launches the image as guest "image"; returns what kcorectl says."""
    server.put(data, ON_SERVER)
    r = server.run(f"kcorectl launch --json --name image {ON_SERVER}", check=False, timeout=300)
    assert r.code == code, (r.stdout, r.stderr)
    return json.loads(r.stdout)


@pytest.mark.parametrize("memory", ["64M", "192M", "1G"])
@pytest.mark.parametrize("vcpus", [1, 2, 8])
def test_measured_offline(server, work, vcpus, memory):
    """The signature is over the measurement that this machine computed, and KCore activates no realm with another."""
    before = memory_in_use(server)
    path = signed(work, "shape", memory, vcpus, "--hash", "sha512" if vcpus == 2 else "sha256")
    state = launch(server, path.read_bytes())
    assert state["guest"]["status"] == "running"
    kcorectl(server, "stop --force image")
    assert memory_in_use(server) == before


def test_built_on_another_architecture(server, work):
    """The server's kcorectl (arm64) makes the very image that this machine's makes, and the same reference values."""
    here, there = work / "here.kci", "/run/there.kci"
    shape = f"--memory 192M --vcpus 2 --append quiet --name image --image-id {'5a' * 32}"
    here.unlink(missing_ok=True)
    tenant("image", "build", "-o", here, "--kernel", work / "kernel", *shape.split())
    server.put((work / "kernel").read_bytes(), "/run/kernel")
    server.run(f"rm -f {there}; kcorectl image build -o {there} --kernel /run/kernel {shape}")
    assert server.run(f"cat {there}", text=False).stdout == here.read_bytes()
    assert kcorectl(server, f"measure {there}")[0] == tenant("measure", here)


def place_of(image, page):
    """Where a page of the kernel is in the file."""
    return image.places[0][0] + page * kci.PAGE


def test_plain_page_altered(server, work):
    before = memory_in_use(server)
    data = bytearray(signed(work).read_bytes())
    data[place_of(kci.Image(bytes(data)), 1)] ^= 1
    assert launch(server, bytes(data), code=8)["error"].startswith("Image.")
    assert memory_in_use(server) == before


def test_sealed(server, sealed):
    before = memory_in_use(server)
    assert launch(server, sealed[0])["guest"]["status"] == "running"
    kcorectl(server, "stop --force image")
    assert memory_in_use(server) == before


def flipped(one, _, image):
    data = bytearray(one)
    data[place_of(image, 3) + 100] ^= 0x10
    return data


def swapped(one, _, image):
    data = bytearray(one)
    a, b = place_of(image, 2), place_of(image, 4)
    data[a:a + kci.PAGE], data[b:b + kci.PAGE] = one[b:b + kci.PAGE], one[a:a + kci.PAGE]
    return data


def from_another_image(one, two, image):
    """The same page of an image of the same kernel, with its tag."""
    data = bytearray(one)
    other = kci.Image(two)
    a, b = place_of(image, 3), place_of(other, 3)
    data[a:a + kci.PAGE] = two[b:b + kci.PAGE]
    at = image.places[0][1] + 16 * 3
    data[at:at + 16] = other.tag(0, 3)
    return data


@pytest.mark.parametrize("change, page", [(flipped, 3), (swapped, 2), (from_another_image, 3)])
def test_sealed_pages_altered(server, sealed, change, page):
    """Refused, nothing is left behind, and the error names the first page that does not open."""
    before = memory_in_use(server)
    image = kci.Image(sealed[0])
    data = bytes(change(sealed[0], sealed[1], image))
    assert data != sealed[0] and len(data) == len(sealed[0])
    answer = launch(server, data, code=1)
    assert answer["error"] == "LaunchFailed" and "were altered" in answer["message"], answer
    assert "RMI command 0x4b09 answered 18" in answer["message"], answer
    assert "PSTATE" not in answer["message"], answer    # of the registers that QEMU prints
    offset, address = page * kci.PAGE, image.manifest[10][0][2] + page * kci.PAGE
    assert answer["page"] == {"segment": 1, "kind": "kernel", "offset": offset, "address": address}, answer
    assert f"the page at {offset:#x} of segment 1 (kernel), IPA {address:#x}" in answer["message"], answer
    assert memory_in_use(server) == before


def test_sealed_to_another_machine(server, work):
    before = memory_in_use(server)
    (work / "other.kplat").write_bytes(kci.Platform(seed=7).document())
    out = work / "sealed-other.kci"
    tenant("image", "seal", signed(work, "other"), "--to", work / "other.kplat", "-o", out)
    answer = launch(server, out.read_bytes(), code=8)
    assert "sealed" in answer["message"], answer
    assert memory_in_use(server) == before


def test_truncated(server, sealed):
    before = memory_in_use(server)
    for size in (10, 4096, len(sealed[0]) - 4096, len(sealed[0]) - 1):
        answer = launch(server, sealed[0][:size], code=8)
        assert answer["error"].startswith("Image."), answer
    assert memory_in_use(server) == before
