/* SPDX-License-Identifier: Apache-2.0 */
#include "sessions.h"

#include <openssl/rand.h>

void session_end(struct session *e) {
        strv_free(e->repositories);
        OPENSSL_cleanse(e, sizeof(*e));
}

void sessions_end_all(struct sessions *s) {
        for (size_t i = 0; i < SESSIONS_MAX; i++)
                session_end(&s->items[i]);
}

int sessions_new(struct sessions *s, uint64_t now, struct session **ret) {
        struct session *best = NULL;
        uint8_t id[SESSION_ID_SIZE / 2], nonce[32];

        for (size_t i = 0; i < SESSIONS_MAX; i++) {
                struct session *e = &s->items[i];

                if (e->state != SESSION_FREE && now >= e->deadline)
                        session_end(e);
                if (e->state == SESSION_FREE) {
                        best = e;
                        break;
                }
                if (e->state == SESSION_CHALLENGED && (!best || e->created < best->created))
                        best = e;
        }
        if (!best)
                return -EAGAIN;
        if (RAND_bytes(id, sizeof(id)) != 1 || RAND_bytes(nonce, sizeof(nonce)) != 1)
                return -EIO;
        session_end(best);
        for (size_t i = 0; i < sizeof(id); i++)
                snprintf(best->id + 2 * i, 3, "%02x", id[i]);
        EVP_EncodeBlock((unsigned char *) best->nonce, nonce, sizeof(nonce));
        best->state = SESSION_CHALLENGED;
        best->created = now;
        best->deadline = now + s->challenge_usec;
        *ret = best;
        return 0;
}

int sessions_find(struct sessions *s, const char *id, uint64_t now, struct session **ret) {
        struct session *found = NULL;

        if (strlen(id) != SESSION_ID_SIZE)
                return -ENOENT;
        /* The id is a credential: how long the comparison takes says nothing of it. */
        for (size_t i = 0; i < SESSIONS_MAX; i++)
                if (s->items[i].state != SESSION_FREE && CRYPTO_memcmp(s->items[i].id, id, SESSION_ID_SIZE) == 0)
                        found = &s->items[i];
        if (!found)
                return -ENOENT;
        if (now >= found->deadline) {
                session_end(found);
                return -ETIME;
        }
        *ret = found;
        return 0;
}

void session_attested(struct sessions *s, struct session *e, uint64_t now, const struct p256_public *public, char **repositories) {
        strv_free(e->repositories);
        OPENSSL_cleanse(e->nonce, sizeof(e->nonce));
        e->state = SESSION_ATTESTED;
        e->deadline = now + s->attested_usec;
        e->public = *public;
        e->repositories = repositories;
}
