/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guest's side of the key broker protocol (attest/kbs/protocol.h). */

#include "../attest/kbs/protocol.h"
#include "../attest/kbs/secret.h"

struct kbs_broker {
        const char *url;      /* https://HOST or https://HOST:PORT */
        const char *ca_file;  /* PEM: the only certificates that the broker's may be signed by */
        const char *resource; /* REPOSITORY/TYPE/TAG */
        unsigned wait_seconds; /* how long to try while it can not be reached */
};

/* A source of tokens, as tsm_token. */
typedef int (*kbs_token_t)(
                void *userdata,
                const uint8_t challenge[static KBS_CHALLENGE_SIZE],
                uint8_t *token,
                size_t max,
                size_t *ret_size,
                const char **ret_reason);

/* Attests to the broker and gets the resource. On failure *ret_reason (to be freed, may be NULL) says why, in
 * printable ASCII and without secrets:
 *   -EINVAL      a setting is no good
 *   -ENOTCONN    the broker can not be reached, or its certificate is not trusted
 *   -EACCES      the broker refuses
 *   -EBADMSG     what it answers is not in the protocol
 *   or what token said. */
int kbs_fetch(const struct kbs_broker *broker, kbs_token_t token, void *userdata, struct secret *ret, char **ret_reason);

/* The parsers, by themselves. */

/* {"nonce": ...}: at most KBS_NONCE_MAX printable characters. */
int kbs_parse_challenge(const char *json, size_t size, char ret_nonce[static KBS_NONCE_MAX + 1], const char **ret_reason);
/* The session of a Set-Cookie header line, or -ENOENT if the line is another, -EBADMSG if it is malformed. */
int kbs_parse_cookie(const char *line, size_t size, char ret[static KBS_SESSION_MAX + 1]);
