/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Public keys and signatures. */

#include "cbor-read.h"

/* Signature algorithms of COSE (RFC 9053). */
#define COSE_ES256 INT64_C(-7)
#define COSE_EDDSA INT64_C(-8)
#define COSE_ES384 INT64_C(-35)
#define COSE_ES512 INT64_C(-36)

/* From a COSE_Key (RFC 9052 7) that passed cbor_check(). BAD_KEY if it is no public key of a kind in
 * kcore_key_type, if it holds a private key, or if the point is not on the curve. */
enum kcore_attest_error key_from_cose(const struct item *map, struct kcore_key **ret);
/* From the uncompressed point of a P-384 key: 97 bytes. */
enum kcore_attest_error key_from_p384_point(const uint8_t *point, size_t size, struct kcore_key **ret);

/* Raw public bytes of an Ed25519 or X25519 key. */
enum kcore_attest_error key_raw(const struct kcore_key *key, uint8_t ret[32]);

/* UNSUPPORTED_ALGORITHM, KEY_MISMATCH if the key is not of the algorithm's curve, WRONG_SIZE if the signature
 * has the wrong length, BAD_SIGNATURE. */
enum kcore_attest_error key_verify(
                const struct kcore_key *key,
                int64_t algorithm,
                const uint8_t *message,
                size_t message_size,
                const uint8_t *signature,
                size_t signature_size);

/* The name of an algorithm, "ES384"; NULL if it is not supported. */
const char *algorithm_name(int64_t algorithm);

/* A hash by the name that tokens use; NULL for others than sha-256, sha-384, sha-512. *ret_size: its bytes. */
const char *hash_name_to_openssl(const char *name, size_t *ret_size);
enum kcore_attest_error hash_bytes(const char *name, const uint8_t *data, size_t size, struct kcore_digest *ret);
