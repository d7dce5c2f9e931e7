/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/kcore: the launch interface of KServ.
 *
 * One open file is one launch.  Its life:
 *
 *   open("/dev/kcore", O_RDWR)      nothing exists yet
 *   KCORE_LAUNCH_CONFIG             memory, vCPUs, entry registers   (once)
 *   KCORE_LAUNCH_POLICY             what the tenant signed          (once, or not)
 *   KCORE_LAUNCH_KEY                key of sealed segments          (once, or not)
 *   KCORE_LAUNCH_SEGMENT            payload, one call per segment    (0..KCORE_MAX_SEGMENTS)
 *   -> hand the fd to QEMU: -add-fd fd=N,set=S -accel kvm,device=/dev/fdset/S
 *   KVM_CREATE_VM                   once: yields a realm's VM fd and freezes the launch
 *   first KVM_RUN of any vCPU       KCore makes the realm: pages are donated,
 *                                   the payload is copied and measured
 *   KCORE_LAUNCH_STATUS             at any time, by any holder of the fd
 *
 * The file also answers the KVM ioctls of /dev/kvm (KVM_GET_API_VERSION,
 * KVM_CHECK_EXTENSION, KVM_GET_VCPU_MMAP_SIZE, ...).  On a launch that has no
 * configuration KVM_CREATE_VM fails with EINVAL: this device never makes an
 * ordinary VM.  A second KVM_CREATE_VM fails with EBUSY.
 *
 * Closing the last descriptor before KVM_CREATE_VM drops everything: no
 * memory was donated, no realm was made.  Afterwards the realm lives as long
 * as its VM and vCPU descriptors do, whatever happens to this file.
 *
 * Opening the device with O_RDONLY gives KCORE_SYS_INFO, KCORE_LOG_READ,
 * KCORE_COUNTER_READ and KCORE_IDENTITY_READ only; every other ioctl then fails
 * with EBADF.
 *
 * All structures have fixed layout and no implicit padding; they are the same
 * for 32 and 64 bit user space.  Reserved fields must be zero on input
 * (otherwise EINVAL) and are zero on output.
 *
 * Errors common to all calls: EFAULT (bad pointer), ENOTTY (unknown ioctl),
 * ENODEV (this kernel does not run under KCore; normally the device is
 * absent then).
 */
#ifndef _UAPI_LINUX_KCORE_H
#define _UAPI_LINUX_KCORE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Differs from KVMIO (0xAE), so that one file can answer both sets; every
 * command value is far above 0x100, so that no generic VFS ioctl (FIBMAP = 1,
 * FIGETBSZ = 2) catches it. */
#define KCORE_IOC_MAGIC		0xC4

#define KCORE_API_VERSION	3

#define KCORE_MAX_SEGMENTS	32
#define KCORE_MAX_VCPUS		512

/*
 * KCORE_SYS_INFO: facts about the core and the machine.  No configuration is
 * needed.
 */
struct kcore_sys_info {
	__u32 api_version;	/* KCORE_API_VERSION of this kernel */
	__u32 core_version;	/* KCORE_VERSION: major << 16 | minor */
	__u64 core_features;	/* KCORE_VERSION: feature bits */
	__u64 rmi_features;	/* RMI_FEATURES register 0 */
	__u64 granules_total;	/* 4 KiB granules of DRAM that KCore tracks */
	__u64 granules_delegated; /* of these: not the host's now */
	__u64 realms;		/* realms that exist now */
	__u64 log_size;		/* bytes in KCore's log ring */
	__u32 num_lrs;		/* list registers */
	__u32 max_ipa_bits;	/* largest s2sz */
	__u64 counters;		/* number of oracle counters (KCORE_COUNTER_READ) */
	__u64 reserved[7];
};					/* 128 bytes */
#define KCORE_SYS_INFO		_IOR(KCORE_IOC_MAGIC, 0x80, struct kcore_sys_info)

/*
 * KCORE_LAUNCH_CONFIG: what the realm is.  Once per file, before any segment.
 *
 * EINVAL: a field out of range (see each); EBUSY: already configured.
 */
struct kcore_launch_config {
	__u64 flags;		/* must be 0 */
	__u64 ram_base;		/* IPA of private RAM, multiple of 2 MiB, not 0 */
	__u64 ram_size;		/* bytes, multiple of 2 MiB, not 0 */
	__u32 vcpus;		/* 1..KCORE_MAX_VCPUS: exactly so many must be made
				 * before the first KVM_RUN */
	__u32 s2sz;		/* IPA width: 0 = the kernel chooses: the smallest >= 33
				 * with ram_base + ram_size <= 2^(s2sz-1);
				 * otherwise 32..max_ipa_bits */
	__u32 hash_algo;	/* KCORE_HASH_* */
	__u32 reserved0;
	__u8  rpv[64];		/* realm personalisation value */
	__u64 entry_pc;		/* where vCPU 0 starts; inside private RAM */
	__u64 entry_regs[8];	/* x0..x7 of vCPU 0 */
	__u64 reserved[10];
};					/* 256 bytes */
#define KCORE_HASH_SHA256	0
#define KCORE_HASH_SHA512	1
#define KCORE_LAUNCH_CONFIG	_IOW(KCORE_IOC_MAGIC, 0x81, struct kcore_launch_config)

/*
 * KCORE_LAUNCH_POLICY: the launch block that the realm's tenant signed (see
 * docs/abi.md of KCore): limits on vCPUs and memory, the RIM that is expected.
 * KCore checks and enforces it, when the realm is made and from then on; it is
 * part of the RIM.  What KCore finds wrong with it is in KCORE_LAUNCH_STATUS.
 * A realm that needs more pages than max_private or max_shared allow ends.
 *
 * EINVAL: not configured yet.  EBUSY: there is a policy or a segment already, or
 * the VM.
 */
struct kcore_launch_block {
	__u64 address;		/* in user space, of KCORE_LAUNCH_BLOCK_SIZE bytes */
	__u64 reserved[3];
};					/* 32 bytes */
#define KCORE_LAUNCH_BLOCK_SIZE	0x130u
#define KCORE_LAUNCH_POLICY	_IOW(KCORE_IOC_MAGIC, 0x86, struct kcore_launch_block)

/*
 * KCORE_LAUNCH_KEY: the key of the sealed segments, itself encrypted (HPKE) to
 * the sealing key of this machine's KCore, for this policy, which must expect a
 * RIM.
 *
 * EINVAL: no policy yet.  EBUSY: there is a key or a segment already, or the VM.
 */
struct kcore_launch_key {
	__u8  enc[32];
	__u8  ct[48];
	__u64 reserved[6];
};					/* 128 bytes */
#define KCORE_LAUNCH_KEY	_IOW(KCORE_IOC_MAGIC, 0x87, struct kcore_launch_key)

/*
 * KCORE_LAUNCH_SEGMENT: payload.  The bytes [offset, offset + length) of the
 * memfd are copied to [ipa, ipa + length) when the realm is made; the last
 * page is filled with zeroes.  The kernel keeps a reference to the memfd: the
 * caller may close it.  The memfd must carry F_SEAL_WRITE and F_SEAL_SHRINK, so
 * that what was handed over is what is launched.
 *
 * Segments are loaded in the order of these calls, so that the order of the
 * measurement is the caller's choice.
 *
 * EINVAL: not configured yet; ipa not a multiple of 4096; length 0; segment
 * not inside private RAM; offset not a multiple of 4096; offset + length beyond
 * the end of the file; unknown flag; not a memfd or not sealed; of a segment
 * with KCORE_SEGMENT_SEALED: no key yet, not MEASURED, length not a multiple of
 * 4096, tags not a multiple of 16 or beyond the end of the file; of another:
 * tags not 0.
 * EEXIST: overlaps an earlier segment.  ENOSPC: KCORE_MAX_SEGMENTS reached.
 * EBUSY: the VM exists already.  EBADF: bad memfd.
 */
struct kcore_launch_segment {
	__s32 memfd;
	__u32 flags;		/* KCORE_SEGMENT_* */
	__u64 offset;		/* in the memfd */
	__u64 ipa;
	__u64 length;		/* bytes */
	__u64 tags;		/* SEALED: where in the memfd the tags are, 16 bytes
				 * for each page, in order */
	__u64 reserved[3];
};					/* 64 bytes */
#define KCORE_SEGMENT_MEASURED	(1u << 0)	/* content goes into the RIM; without
						 * it only address and order do */
#define KCORE_SEGMENT_SEALED	(1u << 1)	/* encrypted pages: KCore opens each with
						 * the launch's key as it loads it */
#define KCORE_LAUNCH_SEGMENT	_IOW(KCORE_IOC_MAGIC, 0x82, struct kcore_launch_segment)

/*
 * KCORE_LAUNCH_STATUS: where the launch stands.  Never fails once the pointer
 * is good, and never waits: while the realm is being made (state CREATED) the
 * page counts show how far it is.  vcpus and exits may lag behind then.
 *
 * The kernel does not know the realm initial measurement (RIM): KCore computes
 * it and tells it to the realm alone (RSI).  It can be predicted from config
 * and segments, in this order: REALM_CREATE; the policy, if there is one; one
 * INIT_RIPAS over RAM in the largest steps the start tables and 2 MiB level 2
 * entries allow (see docs/abi.md); each page of each segment by DATA_CREATE in
 * call order, of a sealed one as if it were not; REC_CREATE of vCPU 0 (runnable), then the others (not runnable).
 *
 * Of a launch that KCore refuses, error and rmi_status say why, rmi_command at
 * which step: EACCES, 16: the policy forbids it; EKEYREJECTED, 17: the block's
 * signature is wrong; EBADMSG, 18: key or page not sealed for this machine,
 * image or address, or altered; EPERM, 19: the RIM is not the one expected.
 * error_ipa is the page that was being loaded, if there was one.
 */
struct kcore_launch_status {
	__u32 state;		/* KCORE_LAUNCH_* below */
	__u32 s2sz;		/* chosen IPA width, 0 before CONFIG */
	__s32 error;		/* negative errno of the last failure, 0 = none */
	__u32 rmi_status;	/* RMI return code of it: status | index << 8; 0 = not RMI */
	__u32 rmi_command;	/* low 16 bits of the function id of it, or 0 */
	__u32 vcpus;		/* vCPUs made so far */
	__u64 ram_base;
	__u64 ram_size;
	__u64 pages_donated;	/* 4 KiB data pages the realm holds now */
	__u64 pages_shared;	/* 4 KiB host pages mapped into the unprotected half now */
	__u64 pages_meta;	/* granules for RD, RECs and translation tables now */
	__u64 blocks_2m;	/* of pages_donated: in 2 MiB blocks, counted in blocks */
	__u64 exits;		/* REC exits so far, all vCPUs */
	__s32 pid;		/* process that made the VM (0: none yet) */
	__u32 reserved0;
	__u64 realm_id;		/* kernel's number of the realm, from 1; 0: not created */
	__u64 error_ipa;	/* page of the payload that the error is about; 0: of none */
	__u64 reserved[11];
};					/* 192 bytes */
#define KCORE_LAUNCH_NEW	0	/* no configuration */
#define KCORE_LAUNCH_CONFIGURED	1	/* KCORE_LAUNCH_CONFIG accepted */
#define KCORE_LAUNCH_CREATED	2	/* KVM_CREATE_VM done, realm not made yet */
#define KCORE_LAUNCH_ACTIVE	3	/* the realm runs or may run */
#define KCORE_LAUNCH_DEAD	4	/* ended, failed, or the VM was closed; for why see error;
					 * 0 = the guest powered off or the VM was closed */
#define KCORE_LAUNCH_STATUS	_IOR(KCORE_IOC_MAGIC, 0x83, struct kcore_launch_status)

/*
 * KCORE_LOG_READ: KCore's log ring, as text lines.  Needs CAP_SYS_ADMIN or
 * CAP_SYSLOG (otherwise EPERM).
 *
 * seq is a byte position that only grows.  A reader starts with 0 and passes
 * next_seq of the last call.  Bytes that were overwritten meanwhile are skipped
 * (next_seq - length > seq shows it).  length 0: nothing new.
 */
struct kcore_log_read {
	__u64 seq;		/* in */
	__u64 next_seq;		/* out */
	__u64 buf;		/* in: user address */
	__u32 size;		/* in: its size, 4096 or more */
	__u32 length;		/* out: bytes written, at most 4096 */
	__u64 reserved[4];
};					/* 64 bytes */
#define KCORE_LOG_READ		_IOWR(KCORE_IOC_MAGIC, 0x84, struct kcore_log_read)

/*
 * KCORE_COUNTER_READ: one of KCore's counters of declassification events.
 * EINVAL: no such index (see kcore_sys_info.counters).
 */
struct kcore_counter_read {
	__u32 index;		/* in */
	__u32 reserved0;
	__u64 value;		/* out */
	__u64 reserved[2];
};					/* 32 bytes */
#define KCORE_COUNTER_READ	_IOWR(KCORE_IOC_MAGIC, 0x85, struct kcore_counter_read)

/*
 * KCORE_IDENTITY_READ: KCore's identity document (see docs/abi.md of KCore): its
 * certificate chain and its public keys, in CBOR. It is no secret.
 *
 * ENOSPC: the buffer is too small; length says what is needed. EOPNOTSUPP: this
 * KCore has none.
 */
struct kcore_identity_read {
	__u64 buf;		/* in: user address */
	__u32 size;		/* in: its size, KCORE_IDENTITY_MAX is enough */
	__u32 length;		/* out: of the document */
	__u64 reserved[2];
};					/* 32 bytes */
#define KCORE_IDENTITY_MAX	8192u
#define KCORE_IDENTITY_READ	_IOWR(KCORE_IOC_MAGIC, 0x88, struct kcore_identity_read)

#endif /* _UAPI_LINUX_KCORE_H */
