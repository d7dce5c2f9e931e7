/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /dev/kcore-attack: what a malicious host kernel can do, for the attack tests.
 * Never part of a product: it hands the whole machine to whoever opens it.
 */
#ifndef KCORE_ATTACK_H
#define KCORE_ATTACK_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* SMC with x0-x17 as given; all results come back. */
struct kat_smc {
	__u64 x[18];
	__u64 interrupt; /* not 0: an interrupt of this CPU is pending all the while */
};

/* 2^order zeroed, contiguous, aligned pages. They stay allocated until KAT_FREE. */
struct kat_pages {
	__u64 pa;
	__u64 order;
};

/* Where the kernel maps a physical address for KAT_MEM. */
#define KAT_LINEAR 0 /* its linear map */
#define KAT_CACHED 1 /* memremap, write-back */
#define KAT_DEVICE 2 /* ioremap */

/* Read or write len bytes (1, 2, 4, 8 as one access). EFAULT: the access was refused. */
struct kat_mem {
	__u64 pa;
	__u64 buf;
	__u32 len;
	__u32 how;
	__u32 write;
	__u32 reserved;
};

/* The kernel calls the code at pa with no arguments. EFAULT: the fetch was refused. */
struct kat_exec {
	__u64 pa;
	__u64 result;
};

/* Call a function of the kernel, by its address in /proc/kallsyms. */
struct kat_call {
	__u64 function;
	__u64 x[2];
	__u64 result;
};

#define KAT_SMC _IOWR('A', 1, struct kat_smc)
#define KAT_ALLOC _IOWR('A', 2, struct kat_pages)
#define KAT_FREE _IOW('A', 3, struct kat_pages)
#define KAT_MEM _IOW('A', 4, struct kat_mem)
#define KAT_EXEC _IOWR('A', 5, struct kat_exec)
#define KAT_CALL _IOWR('A', 6, struct kat_call)

/* mmap: the file offset is the physical address; cached. */

#endif
