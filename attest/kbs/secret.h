/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory for keys: locked, not in core dumps, wiped when it is freed. Pages of its own: OpenSSL's secure heap
 * is no choice, since Argon2 wants its memory from there once it exists. */

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "../../libkcore/util.h"

struct secret {
        uint8_t *data;
        size_t size;
};

/* Call once, before any secret: no core dump, no ptrace by others. */
static inline void secret_init(void) {
        static const struct rlimit none = { 0, 0 };

        (void) prctl(PR_SET_DUMPABLE, 0);
        (void) setrlimit(RLIMIT_CORE, &none);
}

static inline size_t secret_mapping(size_t size) {
        return ALIGN_TO(size ?: 1, (size_t) 4096);
}

/* Where memory may not be locked (RLIMIT_MEMLOCK) it is still wiped. */
static inline int secret_new(struct secret *s, size_t size) {
        void *p = mmap(NULL, secret_mapping(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return -ENOMEM;
        (void) mlock(p, secret_mapping(size));
        (void) madvise(p, secret_mapping(size), MADV_DONTDUMP);
        *s = (struct secret) { p, size };
        return 0;
}

static inline void secret_free(struct secret *s) {
        if (s->data) {
                OPENSSL_cleanse(s->data, s->size);
                (void) munmap(s->data, secret_mapping(s->size));
        }
        *s = (struct secret) {};
}
#define _cleanup_secret_ _cleanup_(secret_free)
