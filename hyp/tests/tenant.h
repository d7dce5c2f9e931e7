/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenant's side of a launch, by OpenSSL: launch blocks, content keys and sealed pages, written to pages of the
 * simulated host.
 */
#ifndef KCORE_TESTS_TENANT_H
#define KCORE_TESTS_TENANT_H

#include <stdint.h>

/* A well-formed block without limits, for any RIM, with an image id made of this number; not signed yet. */
void tenant_block(uint64_t block, uint64_t image);
/* Sign it with one of the tenant's keys, which the number chooses. */
void tenant_sign(uint64_t block, uint8_t signer);
/* A page for LAUNCH_KEY: this content key, for this block, encrypted to a public key; NULL: the simulator's. */
void tenant_wrap(uint64_t page, uint64_t block, const uint8_t content_key[32], const uint8_t *to);
/* Encrypt a page in place for its place in this block's image; the tag goes to tag. */
void tenant_seal(uint64_t page, uint64_t tag, uint64_t ipa, uint64_t block, const uint8_t content_key[32]);

#endif
