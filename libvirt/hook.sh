#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# libvirt's hook for domains that KCore protects: see kcore-qemu(8). Without the
# program (kcore-libvirt was removed, this file is still here) ordinary domains
# start as ever, and those that say they are protected do not.

hook=/usr/bin/kcore-libvirt-hook
[ -x $hook ] && exec $hook "$@"
case "$2" in
    prepare | migrate | restore) ;;
    *) exit 0 ;;
esac
if grep -qF -e urn:kcore:domain: -e /usr/bin/kcore-qemu; then
    echo "kcore: domain $1 is to be protected, but $hook is not there: install kcore-libvirt" >&2
    exit 1
fi
