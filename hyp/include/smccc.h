/* SPDX-License-Identifier: Apache-2.0 */
/* SMC Calling Convention 1.2 (Arm DEN0028): identifiers that KCore answers. */
#ifndef KCORE_SMCCC_H
#define KCORE_SMCCC_H

/* Bit 16 of a fast call id is the "no live SVE state" hint; it is dropped before decoding. */
#define SMCCC_SVE_HINT 0x00010000UL

#define SMCCC_VERSION 0x80000000UL
#define SMCCC_VERSION_1_2 0x10002UL

/* Answer to every unknown function id: all ones. */
#define SMCCC_NOT_SUPPORTED 0xFFFFFFFFFFFFFFFFUL

#endif
