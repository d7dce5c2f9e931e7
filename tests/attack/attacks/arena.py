# SPDX-License-Identifier: Apache-2.0
"""What attacks are, and what they find: a machine and a victim."""

import dataclasses
import random

from rmi import Realm

ATTACKS = []


@dataclasses.dataclass
class Attack:
    run: object
    name: str
    weak: str
    event: str
    machine: dict   # settings of the weak machine


def attack(weak=None, event=None, **machine):
    def register(function):
        ATTACKS.append(Attack(function, function.__name__, weak, event, machine))
        return function
    return register


_weakened = {}


def weakened(name, settings=()):
    """The parameter of the fixture weak: weak/NAME.patch, machine settings. Equal ones are the same object,
    which is what pytest goes by when it decides whether the fixture can stay."""
    return _weakened.setdefault((name, settings), (name, settings))


@dataclasses.dataclass
class Arena:
    m: object
    rmi: object
    puppet: bytes
    wild: bytes
    kcore: bytes        # kcore.bin
    victim: Realm = None
    logged: list = dataclasses.field(default_factory=list)   # of each attack: when it was over, lines in the log

    KCORE_AT = 0x40200000

    def realm(self, **settings):
        return Realm(self.rmi, self.puppet, **settings)

    def secret(self):
        """The victim's data page: PA, and the bytes in it."""
        first = self.victim.secret
        return self.victim.data[Realm.DATA], b"".join((first + i).to_bytes(8, "little") for i in range(512))

    def new_victim(self):
        self.victim = self.realm()
        self.victim.keep_secret(random.getrandbits(60))
        return self.victim
