/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What libkcore-attest thinks of a guest's token. */

#include "protocol.h"
#include "store.h"

/* A genuine token: one that a known platform has signed. */
struct evidence;

/* Parses the token and finds the platform whose key signed it. 1 if there is one; 0 if the token is no good or
 * nobody's: then *ret_reason (to be freed) says why, in one line without secrets. -EINVAL with a reason if a
 * platform's file itself is no good, -ENOMEM. */
int evidence_new(
                const uint8_t *token,
                size_t size,
                const struct store_files *platforms,
                struct evidence **ret,
                char **ret_reason);
void evidence_free(struct evidence *e); /* NULL does nothing */

/* Appraises it against one reference document: 1 if all claims and the challenge are as they should be, 0 with
 * the first claim that is not; -EINVAL with a reason if the document itself is no good, -ENOMEM. */
int evidence_appraise(
                const struct evidence *e,
                const struct store_file *reference,
                const uint8_t challenge[static KBS_CHALLENGE_SIZE],
                char **ret_reason);
