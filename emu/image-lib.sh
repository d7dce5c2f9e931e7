# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What emu/host-image and emu/guest-image share. Sourced, never run.
#
# An image directory is complete when it holds a file "key" whose content is
# the hash of everything the image was made from; anything else is rebuilt.

set -euo pipefail

MIRROR=${KCORE_MIRROR:-}
SECURITY_MIRROR=${KCORE_SECURITY_MIRROR:-}
SUITE=trixie

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# step TEXT: closes the step before it with its time, opens a new one.
STEP='' STEP_START=0
step() {
	[ -z "$STEP" ] || say "$STEP: $((SECONDS - STEP_START)) s"
	STEP=${1:-} STEP_START=$SECONDS
	[ -z "$STEP" ] || say "$STEP ..."
}

# The hash of the recipe: both scripts and what the caller adds. The mirrors'
# contents are no input: an image is as old as its cache entry.
image_key() {
	cat "$EMU/image-lib.sh" "$EMU/${0##*/}" | sha256sum | cut -c1-16
}

arm64_runs() {
	[ "$(uname -m)" = aarch64 ] && return 0
	local ld=/usr/lib/ld-linux-aarch64.so.1
	if [ -x "$ld" ]; then
		"$ld" --version >/dev/null 2>&1
	else
		grep -qs '^enabled' /proc/sys/fs/binfmt_misc/qemu-aarch64
	fi
}

# Lets this machine run arm64 programs: registers qemu-user with binfmt_misc,
# with flag F (the kernel keeps the interpreter open, so it works inside
# chroots). The registration stays until the machine restarts.
need_arm64() {
	arm64_runs && return 0
	local d=/proc/sys/fs/binfmt_misc q
	q=$(command -v qemu-aarch64-static || command -v qemu-aarch64) ||
		die "arm64 programs can not run here: qemu-user is not installed"
	[ -e $d/register ] || mount -t binfmt_misc binfmt_misc $d 2>/dev/null ||
		die "arm64 programs can not run here: binfmt_misc can not be mounted (a container without the right to?). Run on the machine itself: apt-get install qemu-user-binfmt"
	[ ! -e $d/qemu-aarch64 ] || die "arm64 programs do not run here although $d/qemu-aarch64 is registered: $(tr '\n' ' ' <$d/qemu-aarch64)"
	q=$(readlink -f "$q")
	printf '%s' ":qemu-aarch64:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:$q:OCF" \
		2>/dev/null >$d/register || die "arm64 programs can not run here: binfmt_misc refuses a registration"
	arm64_runs || die "arm64 programs do not run here although qemu-user was registered"
}

# bootstrap OUTDIR PACKAGES [mmdebstrap options]: a Debian arm64 root in
# OUTDIR/root. As it takes minutes, and what is done to it afterwards seconds,
# it is kept as OUTDIR/base.tar.zst.
bootstrap() {
	local out=$1 packages=$2 dir=$1/root key
	shift 2
	key=$({ declare -f bootstrap; printf '%s\n' "$packages" "$@"; } | sha256sum | cut -c1-16)
	rm -rf "$dir"
	if [ "$(cat "$out/base.key" 2>/dev/null)" = "$key" ]; then
		mkdir "$dir"
		zstd -dc "$out/base.tar.zst" | tar --xattrs --xattrs-include='*' --numeric-owner -C "$dir" -xf -
		return
	fi
	rm -f "$out/base.key"
	[ -n "$MIRROR" ] || die "no Debian mirror: set KCORE_MIRROR (./kcore does)"
	# Two things that packages do when they are set up take minutes under
	# qemu-user and are useless here: the hardware database and ssh's keys.
	mmdebstrap --quiet --variant=minbase --architectures=arm64 --skip=check/qemu \
		--include="$packages" \
		--aptopt='Acquire::Languages "none"' \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--essential-hook='chroot "$1" dpkg-divert --quiet --local --rename --add /usr/bin/systemd-hwdb && ln -s true "$1/usr/bin/systemd-hwdb"' \
		--essential-hook='mkdir -p "$1/etc/ssh" && touch "$1/etc/ssh/ssh_host_rsa_key" "$1/etc/ssh/ssh_host_ecdsa_key" "$1/etc/ssh/ssh_host_ed25519_key"' \
		--customize-hook='rm "$1/usr/bin/systemd-hwdb" && chroot "$1" dpkg-divert --quiet --local --rename --remove /usr/bin/systemd-hwdb' \
		--customize-hook='rm -f "$1"/etc/ssh/ssh_host_*' \
		"$@" "$SUITE" "$dir" \
		"deb $MIRROR $SUITE main" \
		"deb $MIRROR $SUITE-updates main" \
		"deb $MIRROR $SUITE-backports main" \
		${SECURITY_MIRROR:+"deb $SECURITY_MIRROR $SUITE-security main"} >"$out/root.log" 2>&1 ||
		{ tail -n 25 "$out/root.log" >&2; die "making the root file system failed, see $out/root.log"; }
	rm -rf "$dir"/var/lib/apt/lists/* "$dir"/var/cache/apt/*.bin "$dir"/var/cache/apt/archives/*.deb
	tar --xattrs --xattrs-include='*' --numeric-owner -C "$dir" -cf - . | zstd -q -T0 -3 -f -o "$out/base.tar.zst"
	printf '%s\n' "$key" >"$out/base.key"
}

# Makes a root start fast under emulation: what needs no hardware, no updates
# and no persistent state is masked.
quiet_root() {
	local r=$1 u
	for u in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
		e2scrub_all.timer e2scrub_reap.service man-db.timer logrotate.timer systemd-tmpfiles-clean.timer \
		getty@tty1.service getty-static.service systemd-networkd-wait-online.service \
		systemd-pstore.service systemd-journal-flush.service systemd-journal-catalog-update.service \
		systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-update-done.service \
		systemd-binfmt.service systemd-boot-random-seed.service systemd-random-seed.service \
		systemd-hwdb-update.service systemd-firstboot.service systemd-sysusers.service ldconfig.service \
		systemd-tpm2-setup-early.service systemd-tpm2-setup.service systemd-machine-id-commit.service \
		systemd-hibernate-clear.service systemd-pcrphase.service systemd-rfkill.socket \
		systemd-sysext.socket systemd-sysext.service systemd-confext.service systemd-creds.socket \
		systemd-mountfsd.socket systemd-nsresourced.socket systemd-hostnamed.socket \
		systemd-bootctl.socket systemd-ask-password-console.path systemd-ask-password-wall.path \
		proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount \
		sys-kernel-tracing.mount sys-kernel-debug.mount sys-fs-fuse-connections.mount \
		modprobe@.service systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service \
		systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service \
		systemd-udev-load-credentials.service systemd-battery-check.service ssh.socket \
		systemd-networkd-persistent-storage.service systemd-logind.service systemd-user-sessions.service; do
		ln -sf /dev/null "$r/etc/systemd/system/$u"
	done
	mkdir -p "$r/etc/systemd/system-generators" "$r/etc/systemd/journald.conf.d" "$r/etc/systemd/system/systemd-udev-trigger.service.d"
	for u in "$r"/usr/lib/systemd/system-generators/*; do
		ln -sf /dev/null "$r/etc/systemd/system-generators/${u##*/}"
	done
	# Only devices that somebody waits for, or that rules give rights to.
	cat >"$r/etc/systemd/system/systemd-udev-trigger.service.d/few.conf" <<-END
	[Service]
	ExecStart=
	ExecStart=-udevadm trigger --type=devices --action=add --prioritized-subsystem=virtio,net,block --subsystem-match=virtio --subsystem-match=net --subsystem-match=block --subsystem-match=misc
	END
	printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n' >"$r/etc/systemd/journald.conf.d/kcore.conf"
	# D-Bus starts when somebody calls, not at boot.
	rm -f "$r"/usr/lib/systemd/system/multi-user.target.wants/dbus.service
	: >"$r/etc/fstab"
	ln -sf /usr/lib/systemd/system/multi-user.target "$r/etc/systemd/system/default.target"
	tr -d - </proc/sys/kernel/random/uuid >"$r/etc/machine-id"
	chmod 444 "$r/etc/machine-id"
	rmdir "$r/etc/ssh" 2>/dev/null || true
}

# pack DIR IMAGE SIZE LABEL: an ext4 image of DIR, sparse, without mounting.
# Servers that run keep the image that they have.
pack() {
	rm -f "$2.part"
	mke2fs -q -t ext4 -L "$4" -E lazy_itable_init=0,root_owner=0:0 -O ^metadata_csum_seed,^orphan_file \
		-m 0 -d "$1" "$2.part" "$3"
	mv "$2.part" "$2"
}

# main_cli "WHAT" "$@": the command line of both scripts; calls build_image DIR.
main_cli() {
	local what=$1
	shift
	case ${1:---help} in
	key)
		image_key
		;;
	build)
		[ $# = 2 ] || die "usage: ${0##*/} build OUTDIR"
		local out=$2 key
		key=$(image_key)
		if [ "$(cat "$out/key" 2>/dev/null)" = "$key" ]; then
			say "$out is up to date"
			return 0
		fi
		mkdir -p "$out"
		out=$(cd "$out" && pwd)
		rm -f "$out/key"
		need_arm64
		build_image "$out"
		step
		printf '%s\n' "$key" >"$out/key"
		say "$what in $out: $(du -sh "$out" | cut -f1), $SECONDS s"
		;;
	-h | --help)
		usage
		;;
	*)
		die "unknown command '$1' (see --help)"
		;;
	esac
}
