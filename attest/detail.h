/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Saying where an error is. */

#include "kcore-attest.h"

/* Fills *detail (may be NULL) with the place; returns error. */
enum kcore_attest_error fail(
                struct kcore_attest_detail *detail, enum kcore_attest_error error, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
/* The same for a claim: "realm token, claim 44238 (initial measurement)". */
enum kcore_attest_error fail_claim(
                struct kcore_attest_detail *detail,
                enum kcore_attest_error error,
                const char *part,
                int64_t claim,
                const char *name);
