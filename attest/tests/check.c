/* SPDX-License-Identifier: Apache-2.0 */
/* For test_token.py and test_identity.py: parses and verifies files, and prints for each "NAME CLAIM WHERE" of the
 * error.
 *
 *   attest-check token KEY FILE...     KEY: a key, or an identity document if it ends in .kplat
 *   attest-check identity FILE...
 *   attest-check key FILE...           prints type and thumbprint of a good one */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kcore-attest.h"

static uint8_t *read_all(const char *path, size_t *ret_size) {
        FILE *f = fopen(path, "rb");
        uint8_t *data = malloc(1 << 20);

        if (!f || !data) {
                perror(path);
                exit(2);
        }
        *ret_size = fread(data, 1, 1 << 20, f);
        fclose(f);
        /* Of exactly its size, so that sanitizers see the end. */
        return realloc(data, *ret_size > 0 ? *ret_size : 1);
}

static void print(enum kcore_attest_error e, const struct kcore_attest_detail *d) {
        printf("%s %" PRIi64 " %s\n", kcore_attest_error_name(e), d->claim, d->where);
}

static void check_token(const struct kcore_key *key, const uint8_t *data, size_t size) {
        struct kcore_attest_detail d = {};
        struct kcore_token *t = NULL;
        enum kcore_attest_error e;

        e = kcore_token_parse(data, size, &t, &d);
        if (e == KCORE_ATTEST_OK)
                e = kcore_token_verify(t, key, &d);
        print(e, &d);
        kcore_token_free(t);
}

static void check_identity(const uint8_t *data, size_t size) {
        struct kcore_attest_detail d = {};
        struct kcore_identity *id = NULL;
        enum kcore_attest_error e;

        e = kcore_identity_parse(data, size, &id, &d);
        if (e == KCORE_ATTEST_OK)
                e = kcore_identity_verify(id, &d);
        print(e, &d);
        kcore_identity_free(id);
}

static void check_key(const uint8_t *data, size_t size) {
        struct kcore_key *key = NULL;
        uint8_t print[32];
        enum kcore_attest_error e;

        e = kcore_key_parse(data, size, &key);
        if (e == KCORE_ATTEST_OK)
                e = kcore_key_thumbprint(key, print);
        printf("%s ", kcore_attest_error_name(e));
        if (e == KCORE_ATTEST_OK) {
                printf("%s ", kcore_key_type_name(key));
                for (size_t i = 0; i < sizeof(print); i++)
                        printf("%02x", print[i]);
        }
        printf("\n");
        kcore_key_free(key);
}

int main(int argc, char **argv) {
        struct kcore_identity *id = NULL;
        struct kcore_key *own = NULL;
        const struct kcore_key *key = NULL;
        int first = 2;

        if (argc < 3)
                return 2;
        if (strcmp(argv[1], "token") == 0) {
                const char *suffix = strrchr(argv[2], '.');
                size_t size;
                uint8_t *data = read_all(argv[2], &size);

                if (suffix && strcmp(suffix, ".kplat") == 0) {
                        if (kcore_identity_parse(data, size, &id, NULL) != KCORE_ATTEST_OK)
                                return 2;
                        key = kcore_identity_platform_key(id);
                } else {
                        if (kcore_key_parse(data, size, &own) != KCORE_ATTEST_OK)
                                return 2;
                        key = own;
                }
                free(data);
                first = 3;
        }
        for (int i = first; i < argc; i++) {
                size_t size;
                uint8_t *data = read_all(argv[i], &size);

                if (key)
                        check_token(key, data, size);
                else if (strcmp(argv[1], "identity") == 0)
                        check_identity(data, size);
                else
                        check_key(data, size);
                free(data);
        }
        kcore_key_free(own);
        kcore_identity_free(id);
        return 0;
}
