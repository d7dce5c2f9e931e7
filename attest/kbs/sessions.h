/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sessions of guests with the broker. A session has one nonce, which is used up by the first attempt to
 * attest with it, whatever its outcome. The number of sessions is fixed. */

#include "protocol.h"

#define SESSIONS_MAX 256
#define SESSION_ID_SIZE 32   /* hexadecimal digits: 128 random bits */
#define SESSION_NONCE_SIZE 44 /* characters: base64 of 32 random bytes */

enum session_state {
        SESSION_FREE,
        SESSION_CHALLENGED, /* has a nonce, nothing proved */
        SESSION_ATTESTED,
};

struct session {
        enum session_state state;
        char id[SESSION_ID_SIZE + 1];
        char nonce[SESSION_NONCE_SIZE + 1];
        uint64_t created, deadline; /* usec, monotonic */
        struct p256_public public;  /* ATTESTED: resources are wrapped to it */
        char **repositories;        /* ATTESTED: that it may read */
};

struct sessions {
        uint64_t challenge_usec, attested_usec; /* how long a session lives in each state */
        struct session items[SESSIONS_MAX];
};

/* A new session with a new nonce. If all are taken, the one that waits longest for its guest's evidence goes;
 * -EAGAIN if all are attested. */
int sessions_new(struct sessions *s, uint64_t now, struct session **ret);

/* -ENOENT if there is none of that id (any string), -ETIME if it has expired. */
int sessions_find(struct sessions *s, const char *id, uint64_t now, struct session **ret);

/* The guest has proved itself: from now on it may read these repositories (taken over). */
void session_attested(struct sessions *s, struct session *e, uint64_t now, const struct p256_public *public, char **repositories);

void session_end(struct session *e);
void sessions_end_all(struct sessions *s);
