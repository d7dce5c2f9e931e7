/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The key broker without its transport: a request comes in, a response goes out. Not for several threads at
 * once. docs/key-broker.md has the protocol and its errors. */

#include "audit.h"
#include "protocol.h"
#include "sessions.h"
#include "store.h"

struct broker {
        int platforms_fd, references_fd, resources_fd; /* directories, see store.h */
        EVP_PKEY *token_key;
        const char *issuer;
        struct audit audit;
        struct sessions sessions;
};

struct broker_request {
        const char *method;       /* "GET", "POST" */
        const char *path;         /* without query */
        const char *content_type; /* or NULL */
        const char *session;      /* the cookie, or NULL */
        const char *peer;         /* address, for the log */
        const char *body;
        size_t body_size;
        uint64_t now; /* usec, monotonic */
};

struct broker_response {
        unsigned status;
        char *body;                        /* JSON, to be freed; NULL without memory */
        char session[SESSION_ID_SIZE + 1]; /* to be set as cookie, unless empty */
        uint64_t session_usec;             /* how long it lives */
};

void broker_handle(struct broker *b, const struct broker_request *rq, struct broker_response *ret);

/* A refusal that is found before broker_handle: too large a body, for instance. type as in the protocol. */
void broker_refuse(
                struct broker *b,
                const struct broker_request *rq,
                unsigned status,
                const char *type,
                const char *detail,
                struct broker_response *ret);
