/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware's hand-over: compound device identifiers (CDI) and certificate chain, as the Open Profile for DICE
 * lays them out in the memory of a "google,open-dice" node.
 *
 *   { 1: bstr 32 CDI_Attest, 2: bstr 32 CDI_Seal, 3: [ COSE_Key of the UDS, COSE_Sign1 entry, ... ] }
 *
 * The payload of an entry is a map (a CBOR web token) with at least: 1 issuer, 2 subject, -4670545 code hash (64
 * bytes), -4670551 mode (1 byte), -4670552 subject's public key (bstr with a COSE_Key, OKP, Ed25519). The last entry
 * is KCore's.
 */
#ifndef KCORE_ATTEST_DICE_H
#define KCORE_ATTEST_DICE_H

#include <stdbool.h>
#include <stdint.h>

#include "cbor.h"

#define DICE_MAX_CHAIN 6144u /* bytes */
#define DICE_MAX_ENTRIES 8u
#define DICE_MAX_NAME 64u    /* characters of issuer or subject */

#define DICE_ISSUER 1
#define DICE_SUBJECT 2
#define DICE_CODE_HASH (-4670545)
#define DICE_MODE (-4670551)
#define DICE_SUBJECT_KEY (-4670552)
#define DICE_KEY_USAGE (-4670553)

#define DICE_MODE_NORMAL 1

/* All point into the region. */
struct dice {
	struct cbor_in cdi_attest; /* 32 bytes */
	struct cbor_in cdi_seal;   /* 32 bytes */
	struct cbor_in chain;      /* the array, verbatim */
	struct cbor_in uds_key;    /* its first element, verbatim */
	struct cbor_in subject;    /* of the last entry: KCore's name */
	struct cbor_in code_hash;  /* of the last entry, 64 bytes */
	struct cbor_in public_key; /* of the last entry, 32 bytes */
	bool normal;               /* every entry says mode normal */
};

/* false: the region does not hold exactly this; what follows the map is not looked at. Verifies no signature. */
bool dice_read(struct dice *d, const void *region, uint32_t size);

#endif
