/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this KCore is: keys that only this KCore on this machine can have, derived at boot from what the firmware
 * handed over, and what it says of itself to others. Set once, by the boot CPU; read only afterwards.
 *
 * Keys, all by HKDF-SHA-512:
 *   DICE key      Ed25519  CDI_Attest, salt "kcore dice", info "kcore dice key pair ed25519"
 *   platform key  P-384    CDI_Attest, salt "kcore", info "kcore platform key p384"     (the CPAK of Arm CCA)
 *   realm key     P-384    CDI_Attest, salt "kcore", info "kcore realm key p384"        (the RAK)
 *   sealing key   X25519   CDI_Seal,   salt "kcore", info "kcore sealing key x25519"
 * The first two sign once, at boot, and are wiped.
 */
#ifndef KCORE_ATTEST_IDENTITY_H
#define KCORE_ATTEST_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

/* Lifecycle claim, values of Arm CCA; secured are 0x3000 to 0x30FF. */
#define LIFECYCLE_UNKNOWN 0x0000u /* no hand-over: nothing vouches for this KCore */
#define LIFECYCLE_SECURED 0x3000u
#define LIFECYCLE_DEBUG 0x4000u   /* a boot stage says that it is not in normal mode */

#define IDENTITY_MAX 8192u        /* bytes of the identity document */
#define COSE_KEY_P384_SIZE 107u
#define PLATFORM_TOKEN_MAX 2048u

/*
 * Make the identity. handover: what the "google,open-dice" memory holds, or NULL; seed: 64 bytes that replace the
 * CDIs without one, from whatever entropy there is. config: feature word for the platform token. The caller wipes
 * both inputs. false: handover is malformed or its last certificate is not for the key it leads to, and the
 * identity is made as without one.
 */
bool identity_make(const void *handover, uint32_t size, const uint8_t seed[64], uint64_t config);

uint32_t identity_lifecycle(void);

/*
 * The identity document, public: { 1: chain, 2: certificate of the platform key, 3: certificate of the sealing
 * key, 4: lifecycle, which follows from the chain }. A certificate is a COSE_Sign1 by the DICE key, as an entry of the chain: issuer (the DICE
 * key's name), subject, subject's public key, key usage.
 */
const uint8_t *identity_document(uint32_t *len);

/* COSE_Sign1 by the platform key; its nonce is the SHA-256 of the realm key's COSE_Key. */
const uint8_t *identity_platform_token(uint32_t *len);

/* Private keys: P-384 that signs realm tokens; X25519 that opens the keys of sealed images. */
const uint8_t *identity_realm_key(void);
const uint8_t *identity_sealing_key(void);
/* COSE_Key of the realm key, COSE_KEY_P384_SIZE bytes. */
const uint8_t *identity_realm_public(void);

#endif
