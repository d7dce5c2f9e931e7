# SPDX-License-Identifier: Apache-2.0
"""Documents quote messages: the programs must still say them."""

import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


def literals():
    """All string literals of the userland, those that stand side by side joined."""
    for directory in ("kcoresd", "kcorectl", "libkcore", "libvirt", "image"):
        for path in (SOURCE / directory).glob("*.c"):
            text = re.sub(r'" KCORE_DEVICE "', "/dev/kcore", path.read_text())
            for run in re.findall(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*', text):
                yield "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', run))


def test_messages_of_the_operators_page_exist():
    rows = re.findall(r"^\| `([^`]+)` \|", (SOURCE / "docs/operator.md").read_text(), re.M)
    assert len(rows) > 15
    said = list(literals())
    for message in rows:
        parts = [part.strip() for part in message.split("…")]
        assert any(all(part in text for part in parts) for text in said), message
