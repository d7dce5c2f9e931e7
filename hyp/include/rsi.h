/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Realm Services Interface 1.0 (Arm DEN0137): what a realm calls.
 * SMC64 fast calls from EL1 of a realm.
 */
#ifndef KCORE_RSI_H
#define KCORE_RSI_H

#define RSI_VERSION 0xC4000190UL
#define RSI_FEATURES 0xC4000191UL
#define RSI_MEASUREMENT_READ 0xC4000192UL
#define RSI_MEASUREMENT_EXTEND 0xC4000193UL
#define RSI_ATTEST_TOKEN_INIT 0xC4000194UL
#define RSI_ATTEST_TOKEN_CONTINUE 0xC4000195UL
#define RSI_REALM_CONFIG 0xC4000196UL
#define RSI_IPA_STATE_SET 0xC4000197UL
#define RSI_IPA_STATE_GET 0xC4000198UL
#define RSI_HOST_CALL 0xC4000199UL

/* The whole range is KCore's. */
#define RSI_FID_FIRST 0xC4000190UL
#define RSI_FID_LAST 0xC40001AFUL

#define RSI_ABI_VERSION 0x10000UL

#define RSI_SUCCESS 0UL
#define RSI_ERROR_INPUT 1UL
#define RSI_ERROR_STATE 2UL
#define RSI_INCOMPLETE 3UL
#define RSI_ERROR_UNKNOWN 4UL

/* Bound for the size of a token: x1 of ATTEST_TOKEN_INIT. */
#define RSI_TOKEN_MAX 4096UL

#define RSI_ACCEPT 0UL
#define RSI_REJECT 1UL

#define RSI_CHANGE_DESTROYED 1UL

/* Byte offsets in the realm's configuration page and host call structure. */
#define RSI_CONFIG_IPA_WIDTH 0x000UL
#define RSI_CONFIG_HASH_ALGO 0x008UL
#define RSI_CONFIG_RPV 0x200UL
#define RSI_HOST_CALL_IMM 0x00UL
#define RSI_HOST_CALL_GPRS 0x08UL

#endif
