/* SPDX-License-Identifier: Apache-2.0 */
/* The tenant's side of a launch: a signed launch block, a content key for this machine, encrypted pages. */
#ifndef TENANT_H
#define TENANT_H

#include <stddef.h>
#include <stdint.h>

#include "../../../kvm-patches/uapi/kcore.h"

#define BLOCK_MAGIC 0x000
#define BLOCK_VERSION 0x008
#define BLOCK_FLAGS 0x010
#define BLOCK_MAX_VCPUS 0x018
#define BLOCK_MAX_PRIVATE 0x020
#define BLOCK_MAX_SHARED 0x028
#define BLOCK_MIN_VERSION 0x030
#define BLOCK_IMAGE_ID 0x038
#define BLOCK_RIM 0x090
#define BLOCK_SIGNER 0x0D0
#define BLOCK_SIGNATURE 0x0F0

struct image {
	struct kcore_launch_config config;
	uint8_t block[KCORE_LAUNCH_BLOCK_SIZE];
	struct kcore_launch_key key;
	uint8_t platform[32];		/* public sealing key of this machine */
	const uint8_t *plain;
	uint8_t *sealed;		/* the pages, then their tags */
	size_t pages;
};

#define IMAGE_TAGS(m) ((m)->sealed + 4096 * (m)->pages)

/* A word of the block, which is to be signed again. */
void image_put(struct image *m, unsigned int offset, uint64_t value);

/* All of it, for this configuration, of a plain payload of whole pages at the start of RAM. */
void image_make(struct image *m, const struct kcore_launch_config *config, const uint8_t *plain, size_t size,
		const uint8_t platform[32]);

/* The steps of it, in this order; each uses what the steps before have made. */
void image_encrypt(struct image *m);	/* pages, for the image id of the block */
void image_measure(struct image *m);	/* expected RIM of the block, for its policy and the configuration */
void image_sign(struct image *m);
void image_wrap(struct image *m);	/* content key, for the block and the platform */

#endif
