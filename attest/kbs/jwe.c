/* SPDX-License-Identifier: Apache-2.0 */
#include "jwe.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "json-strict.h"

#define ALG "ECDH-ES+A256KW"
#define ENC "A256GCM"
#define CEK_SIZE 32
#define WRAPPED_SIZE 40
#define IV_SIZE 12
#define TAG_SIZE 16
#define PROTECTED_MAX 1024

static inline void cipher_ctx_freep(EVP_CIPHER_CTX **c) {
        EVP_CIPHER_CTX_free(*c);
}
#define _cleanup_cipher_ _cleanup_(cipher_ctx_freep)

/* The key that wraps the content key: ECDH, then Concat KDF with SHA-256 over AlgorithmID || PartyUInfo ||
 * PartyVInfo || SuppPubInfo (RFC 7518 section 4.6.2); the two parties' fields are empty. */
static int wrapping_key(EVP_PKEY *own, EVP_PKEY *peer, uint8_t ret[static CEK_SIZE]) {
        static const uint8_t info[] = "\0\0\0\x0e" ALG "\0\0\0\0" "\0\0\0\0" "\0\0\x01\0"; /* and a NUL */
        uint8_t z[P256_SIZE];
        size_t size = sizeof(z);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
        EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SSKDF", NULL);
        EVP_KDF_CTX *kctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
        int r = -EIO;

        if (ctx && kctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
            EVP_PKEY_derive(ctx, z, &size) == 1 && size == sizeof(z)) {
                const OSSL_PARAM params[] = {
                        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *) "SHA256", 0),
                        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, z, sizeof(z)),
                        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *) info, sizeof(info) - 1),
                        OSSL_PARAM_construct_end(),
                };

                if (EVP_KDF_derive(kctx, ret, CEK_SIZE, params) == 1)
                        r = 0;
        }
        OPENSSL_cleanse(z, sizeof(z));
        EVP_KDF_CTX_free(kctx);
        EVP_KDF_free(kdf);
        EVP_PKEY_CTX_free(ctx);
        return r;
}

static EVP_CIPHER_CTX *wrap_context(void) {
        EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

        if (c)
                EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
        return c;
}

/* AES key wrap, RFC 3394. */
static int wrap(const uint8_t kek[static CEK_SIZE], const uint8_t cek[static CEK_SIZE], uint8_t out[static WRAPPED_SIZE]) {
        _cleanup_cipher_ EVP_CIPHER_CTX *c = wrap_context();
        int n, last;

        if (!c || EVP_EncryptInit_ex2(c, EVP_aes_256_wrap(), kek, NULL, NULL) != 1 ||
            EVP_EncryptUpdate(c, out, &n, cek, CEK_SIZE) != 1 || EVP_EncryptFinal_ex(c, out + n, &last) != 1 ||
            n + last != WRAPPED_SIZE)
                return -EIO;
        return 0;
}

static int unwrap(const uint8_t kek[static CEK_SIZE], const uint8_t in[static WRAPPED_SIZE], uint8_t cek[static WRAPPED_SIZE]) {
        _cleanup_cipher_ EVP_CIPHER_CTX *c = wrap_context();
        int n, last;

        if (!c || EVP_DecryptInit_ex2(c, EVP_aes_256_wrap(), kek, NULL, NULL) != 1 ||
            EVP_DecryptUpdate(c, cek, &n, in, WRAPPED_SIZE) != 1 || EVP_DecryptFinal_ex(c, cek + n, &last) != 1 ||
            n + last != CEK_SIZE)
                return -EKEYREJECTED;
        return 0;
}

static int encrypt(
                const uint8_t cek[static CEK_SIZE],
                const uint8_t iv[static IV_SIZE],
                const char *aad,
                const void *plain,
                size_t n,
                uint8_t *out,
                uint8_t tag[static TAG_SIZE]) {

        _cleanup_cipher_ EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        int k;

        if (!c || EVP_EncryptInit_ex2(c, EVP_aes_256_gcm(), cek, iv, NULL) != 1 ||
            EVP_EncryptUpdate(c, NULL, &k, (const uint8_t *) aad, (int) strlen(aad)) != 1 ||
            EVP_EncryptUpdate(c, out, &k, plain, (int) n) != 1 || EVP_EncryptFinal_ex(c, out + k, &k) != 1 ||
            EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag) != 1)
                return -EIO;
        return 0;
}

static int decrypt(
                const uint8_t cek[static CEK_SIZE],
                const uint8_t iv[static IV_SIZE],
                const char *aad,
                const uint8_t *in,
                size_t n,
                uint8_t tag[static TAG_SIZE],
                uint8_t *out) {

        _cleanup_cipher_ EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        int k;

        if (!c || EVP_DecryptInit_ex2(c, EVP_aes_256_gcm(), cek, iv, NULL) != 1 ||
            EVP_DecryptUpdate(c, NULL, &k, (const uint8_t *) aad, (int) strlen(aad)) != 1 ||
            EVP_DecryptUpdate(c, out, &k, in, (int) n) != 1 ||
            EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) != 1 ||
            EVP_DecryptFinal_ex(c, out + k, &k) != 1)
                return -EKEYREJECTED;
        return 0;
}

int jwe_seal(const struct p256_public *public, const void *plain, size_t n, char **ret_json) {
        _cleanup_pkey_ EVP_PKEY *peer = NULL, *own = NULL;
        uint8_t kek[CEK_SIZE], cek[CEK_SIZE], wrapped[WRAPPED_SIZE], iv[IV_SIZE], tag[TAG_SIZE];
        _cleanup_free_ char *header = NULL, *protected = NULL, *text = NULL;
        _cleanup_free_ uint8_t *cipher = NULL;
        char x[BASE64URL_SIZE(P256_SIZE)], y[BASE64URL_SIZE(P256_SIZE)], key64[BASE64URL_SIZE(WRAPPED_SIZE)],
                iv64[BASE64URL_SIZE(IV_SIZE)], tag64[BASE64URL_SIZE(TAG_SIZE)];
        struct p256_public epk;
        int r;

        if (n > KBS_RESOURCE_MAX)
                return -EMSGSIZE;
        r = p256_import(public, &peer);
        r = r ?: p256_generate(&own);
        r = r ?: p256_export(own, &epk);
        if (r < 0)
                return r;

        /* Trustee's client writes the header anew, with the keys in this order, before it authenticates it. */
        if (asprintf(
                            &header,
                            "{\"alg\":\"" ALG "\",\"enc\":\"" ENC "\",\"epk\":{\"crv\":\"P-256\",\"kty\":\"EC\","
                            "\"x\":\"%s\",\"y\":\"%s\"}}",
                            base64url_encode(epk.x, P256_SIZE, x), base64url_encode(epk.y, P256_SIZE, y)) < 0)
                return -ENOMEM;
        protected = malloc(BASE64URL_SIZE(strlen(header)));
        cipher = malloc(n ?: 1);
        text = malloc(BASE64URL_SIZE(n));
        if (!protected || !cipher || !text)
                return -ENOMEM;
        base64url_encode(header, strlen(header), protected);

        r = wrapping_key(own, peer, kek);
        r = r ?: (RAND_priv_bytes(cek, sizeof(cek)) == 1 && RAND_bytes(iv, sizeof(iv)) == 1 ? 0 : -EIO);
        r = r ?: wrap(kek, cek, wrapped);
        r = r ?: encrypt(cek, iv, protected, plain, n, cipher, tag);
        OPENSSL_cleanse(kek, sizeof(kek));
        OPENSSL_cleanse(cek, sizeof(cek));
        if (r < 0)
                return r;
        if (asprintf(
                            ret_json,
                            "{\"protected\":\"%s\",\"encrypted_key\":\"%s\",\"iv\":\"%s\",\"ciphertext\":\"%s\","
                            "\"tag\":\"%s\"}",
                            protected, base64url_encode(wrapped, sizeof(wrapped), key64),
                            base64url_encode(iv, sizeof(iv), iv64), base64url_encode(cipher, n, text),
                            base64url_encode(tag, sizeof(tag), tag64)) < 0)
                return -ENOMEM;
        return 0;
}

/* The member of that name, exactly size bytes. */
static int fixed(sd_json_variant *v, const char *name, uint8_t *out, size_t size) {
        const char *s = json_string(v, name);
        size_t n;

        return s && base64url_decode(s, strlen(s), out, size, &n) == 0 && n == size ? 0 : -EBADMSG;
}

/* alg, enc and the broker's ephemeral key from the protected header. */
static int open_header(const char *protected, EVP_PKEY **ret_peer, const char **ret_reason) {
        _cleanup_json_ sd_json_variant *v = NULL;
        char header[PROTECTED_MAX];
        struct p256_public epk;
        sd_json_variant *e;
        size_t n;
        int r;

        if (base64url_decode(protected, strlen(protected), header, sizeof(header), &n) < 0) {
                *ret_reason = "the JWE's protected header is no base64url or too long";
                return -EBADMSG;
        }
        r = json_parse_strict(header, n, sizeof(header), &v, ret_reason);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        if (!streq(strempty(json_string(v, "alg")), ALG) || !streq(strempty(json_string(v, "enc")), ENC) ||
            sd_json_variant_by_key(v, "zip") || sd_json_variant_by_key(v, "crit") ||
            sd_json_variant_by_key(v, "apu") || sd_json_variant_by_key(v, "apv")) {
                *ret_reason = "the JWE's algorithm is not " ALG " with " ENC;
                return -EOPNOTSUPP;
        }
        e = sd_json_variant_by_key(v, "epk");
        if (!e || !sd_json_variant_is_object(e) || !streq(strempty(json_string(e, "kty")), "EC") ||
            !streq(strempty(json_string(e, "crv")), "P-256") || fixed(e, "x", epk.x, P256_SIZE) < 0 ||
            fixed(e, "y", epk.y, P256_SIZE) < 0) {
                *ret_reason = "the JWE has no ephemeral key of the curve P-256";
                return -EBADMSG;
        }
        r = p256_import(&epk, ret_peer);
        if (r < 0)
                *ret_reason = "the JWE's ephemeral key is no point of the curve";
        return r;
}

int jwe_open(EVP_PKEY *key, const char *json, size_t size, struct secret *ret, const char **ret_reason) {
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_pkey_ EVP_PKEY *peer = NULL;
        _cleanup_free_ uint8_t *cipher = NULL;
        _cleanup_free_ char *with_aad = NULL;
        _cleanup_secret_ struct secret plain = {};
        uint8_t kek[CEK_SIZE], cek[WRAPPED_SIZE], wrapped[WRAPPED_SIZE], iv[IV_SIZE], tag[TAG_SIZE];
        const char *protected, *text, *aad;
        size_t n;
        int r;

        r = json_parse_strict(json, size, KBS_BODY_MAX, &v, ret_reason);
        if (r < 0)
                return r;
        protected = json_string(v, "protected");
        text = json_string(v, "ciphertext");
        if (!sd_json_variant_is_object(v) || !protected || !text || fixed(v, "encrypted_key", wrapped, sizeof(wrapped)) < 0 ||
            fixed(v, "iv", iv, sizeof(iv)) < 0 || fixed(v, "tag", tag, sizeof(tag)) < 0) {
                *ret_reason = "the JWE lacks a member, or one has a wrong size";
                return -EBADMSG;
        }
        r = open_header(protected, &peer, ret_reason);
        if (r < 0)
                return r;

        /* RFC 7516 section 5.2 step 15. */
        aad = json_string(v, "aad");
        if (!isempty(aad)) {
                if (asprintf(&with_aad, "%s.%s", protected, aad) < 0)
                        return -ENOMEM;
        }
        cipher = malloc(strlen(text) + 1);
        if (!cipher)
                return -ENOMEM;
        if (base64url_decode(text, strlen(text), cipher, KBS_RESOURCE_MAX, &n) < 0) {
                *ret_reason = "the JWE's ciphertext is no base64url or too long";
                return -EBADMSG;
        }
        r = secret_new(&plain, n);
        if (r < 0)
                return r;
        r = wrapping_key(key, peer, kek);
        r = r ?: unwrap(kek, wrapped, cek);
        r = r ?: decrypt(cek, iv, with_aad ?: protected, cipher, n, tag, plain.data);
        OPENSSL_cleanse(kek, sizeof(kek));
        OPENSSL_cleanse(cek, sizeof(cek));
        if (r < 0) {
                *ret_reason = "the JWE does not open with this key";
                return r;
        }
        *ret = plain;
        plain = (struct secret) {};
        return 0;
}
