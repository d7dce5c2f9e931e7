/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"
#include "hacl.h"

#include "Hacl_Curve25519_51.h"
#include "Hacl_Ed25519.h"

void ed25519_public(uint8_t public[32], const uint8_t seed[32])
{
	Hacl_Ed25519_secret_to_public(public, input(seed));
}

void ed25519_sign(uint8_t signature[64], const uint8_t seed[32], const void *msg, uint32_t len)
{
	Hacl_Ed25519_sign(signature, input(seed), len, input(msg));
}

bool ed25519_verify(const uint8_t public[32], const void *msg, uint32_t len, const uint8_t signature[64])
{
	return Hacl_Ed25519_verify(input(public), len, input(msg), input(signature));
}

void x25519_public(uint8_t public[32], const uint8_t secret[32])
{
	Hacl_Curve25519_51_secret_to_public(public, input(secret));
}

bool x25519(uint8_t shared[32], const uint8_t secret[32], const uint8_t theirs[32])
{
	return Hacl_Curve25519_51_ecdh(shared, input(secret), input(theirs));
}
