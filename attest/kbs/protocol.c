/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

int p256_generate(EVP_PKEY **ret) {
        *ret = EVP_EC_gen("P-256");
        return *ret ? 0 : -EIO;
}

int p256_export(EVP_PKEY *key, struct p256_public *ret) {
        uint8_t point[1 + 2 * P256_SIZE];
        size_t size;

        /* Uncompressed, unless somebody asked for another form when the key was made. */
        if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &size) != 1 ||
            size != sizeof(point) || point[0] != 4)
                return -EIO;
        memcpy(ret->x, point + 1, P256_SIZE);
        memcpy(ret->y, point + 1 + P256_SIZE, P256_SIZE);
        return 0;
}

int p256_import(const struct p256_public *public, EVP_PKEY **ret) {
        uint8_t point[1 + 2 * P256_SIZE] = { 4 };
        EVP_PKEY_CTX *ctx = NULL;
        _cleanup_pkey_ EVP_PKEY *key = NULL;
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) "P-256", 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
                OSSL_PARAM_construct_end(),
        };
        int r = -EBADMSG;

        memcpy(point + 1, public->x, P256_SIZE);
        memcpy(point + 1 + P256_SIZE, public->y, P256_SIZE);
        ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        if (!ctx)
                return -ENOMEM;
        if (EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1) {
                EVP_PKEY_CTX *check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

                /* On the curve, and not the point at infinity. */
                r = check && EVP_PKEY_public_check(check) == 1 ? 0 : -EBADMSG;
                EVP_PKEY_CTX_free(check);
        }
        EVP_PKEY_CTX_free(ctx);
        if (r == 0)
                *ret = TAKE_PTR(key);
        return r;
}

char *kbs_public_key_json(const struct p256_public *public) {
        char x[BASE64URL_SIZE(P256_SIZE)], y[BASE64URL_SIZE(P256_SIZE)], *s;

        if (asprintf(
                            &s, "{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
                            base64url_encode(public->x, P256_SIZE, x), base64url_encode(public->y, P256_SIZE, y)) < 0)
                return NULL;
        return s;
}

static bool is_plain(const char *s) {
        for (; *s; s++)
                if (*s < 0x20 || *s > 0x7e || *s == '"' || *s == '\\')
                        return false;
        return true;
}

int kbs_challenge(
                const char *nonce,
                const char *additional,
                const struct p256_public *public,
                uint8_t ret[static KBS_CHALLENGE_SIZE]) {

        _cleanup_free_ char *key = kbs_public_key_json(public), *text = NULL;

        if (!key)
                return -ENOMEM;
        if (!is_plain(nonce) || !is_plain(additional))
                return -EINVAL;
        if (asprintf(
                            &text, "{\"additional-evidence\":\"%s\",\"nonce\":\"%s\",\"tee-pubkey\":%s}", additional,
                            nonce, key) < 0)
                return -ENOMEM;
        memset(ret, 0, KBS_CHALLENGE_SIZE);
        return EVP_Digest(text, strlen(text), ret, NULL, EVP_sha384(), NULL) == 1 ? 0 : -EIO;
}

bool kbs_name_is_valid(const char *s) {
        size_t n = strlen(s);

        return n > 0 && n <= KBS_NAME_MAX && s[0] != '.' &&
                strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}
