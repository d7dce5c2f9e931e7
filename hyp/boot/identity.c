/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KCore's identity: from what the firmware handed over, or, without that, from whatever entropy there is. The
 * memory of the hand-over is wiped before anything but KCore runs, and then is the host's.
 */
#include "../attest/identity.h"
#include "../attest/token.h"
#include "../crypto/crypto.h"
#include "../drivers/log.h"
#include "../include/kcore.h"
#include "../mach/cpu.h"
#include "../mach/relay.h"
#include "boot.h"

#define MAX_HANDOVER 0x10000UL
#define TRNG_RND_64 0xC4000053UL

/*
 * The firmware's seeds for the kernel, its random numbers if it has any, the time. On a machine without a hand-over
 * nothing vouches for KCore, so it matters little how good they are; they are enough for keys of one boot.
 */
static void gather(uint8_t seed[64])
{
	struct sha2 s;
	struct smc_out random = firmware_call(TRNG_RND_64, 192, 0, 0);
	uint64_t now = read_sysreg(cntpct_el0);

	sha2_begin(&s, SHA512);
	sha2_add(&s, machine.seed, sizeof(machine.seed));
	sha2_add(&s, &random, sizeof(random));
	sha2_add(&s, &now, sizeof(now));
	sha2_end(&s, seed);
	wipe(&random, sizeof(random));
}

/* Zeroes in memory, not only in caches: the host may map it without. */
static void wipe_memory(const struct range *r)
{
	uint64_t line = 4UL << ((read_sysreg(ctr_el0) >> 16) & 0xf);

	wipe((void *)r->base, r->size);
	dsb(sy);
	for (uint64_t a = align_down(r->base, line); a < r->base + r->size; a += line)
		__asm__ volatile("dc civac, %0" : : "r"(a) : "memory");
	dsb(sy);
}

static bool in_dram(const struct range *r)
{
	for (uint32_t i = 0; i < machine.drams; i++) {
		const struct range *d = &machine.dram[i];

		if (r->base >= d->base && r->size <= d->size && r->base - d->base <= d->size - r->size)
			return true;
	}
	return false;
}

void identity_boot(void)
{
	uint64_t config = KCORE_ABI_FEATURES | (machine.smmu != 0 ? KCORE_VERSION_DMA : 0);
	const struct range *dice = &machine.dice;
	bool given = dice->size != 0 && in_dram(dice), good;
	uint8_t seed[64];

	gather(seed);
	good = identity_make(given ? (const void *)dice->base : NULL,
			     (uint32_t)(dice->size < MAX_HANDOVER ? dice->size : MAX_HANDOVER), seed, config);
	if (given)
		wipe_memory(dice);
	token_make_head(machine.token_cmw);
	/* What the host gets for its own seeds says nothing about ours. */
	hkdf_expand(SHA512, machine.seed, sizeof(machine.seed), seed, sizeof(seed), "host", 4);
	wipe(seed, sizeof(seed));
	if (!good || (dice->size != 0 && !given))
		log_line("identity: not secured: the firmware's hand-over at 0x%lx is malformed", dice->base);
	else if (!given)
		log_line("identity: not secured: the firmware hands nothing over (no google,open-dice node)");
	else
		log_line("identity: DICE hand-over, lifecycle 0x%x", identity_lifecycle());
}
