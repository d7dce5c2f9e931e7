/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cbor-read.h"

/* Copies a text of a token, NUL-terminated. WRONG_TYPE, WRONG_SIZE (longer than KCORE_TEXT_MAX), BAD_TEXT. */
enum kcore_attest_error text_copy(const struct item *item, char ret[KCORE_TEXT_MAX + 1]);
