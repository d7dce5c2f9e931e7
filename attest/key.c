/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <systemd/sd-json.h>

#include "detail.h"

#define COORDINATE_MAX 66

struct kcore_key {
        enum kcore_key_type type;
        EVP_PKEY *pkey;
};

static const struct curve {
        enum kcore_key_type type;
        const char *name;    /* as JWK and people write it */
        const char *openssl; /* group, or type of key */
        int64_t cose_kty, cose_crv;
        int64_t algorithm; /* 0: does not sign */
        const char *hash;  /* of the algorithm; NULL: it hashes itself */
        size_t size;       /* of a coordinate */
} curves[] = {
        { KCORE_KEY_P256, "P-256", "P-256", 2, 1, COSE_ES256, "SHA256", 32 },
        { KCORE_KEY_P384, "P-384", "P-384", 2, 2, COSE_ES384, "SHA384", 48 },
        { KCORE_KEY_P521, "P-521", "P-521", 2, 3, COSE_ES512, "SHA512", 66 },
        { KCORE_KEY_ED25519, "Ed25519", "ED25519", 1, 6, COSE_EDDSA, NULL, 32 },
        { KCORE_KEY_X25519, "X25519", "X25519", 1, 4, 0, NULL, 32 },
};
#define N_CURVES (sizeof(curves) / sizeof(curves[0]))

static const struct curve *curve_of(const struct kcore_key *key) {
        for (size_t i = 0; i < N_CURVES; i++)
                if (curves[i].type == key->type)
                        return &curves[i];
        abort(); /* the type is set from the table only */
}

/* ---- Making keys ---------------------------------------------------------------------------------------- */

/* Takes pkey. */
static enum kcore_attest_error key_new(enum kcore_key_type type, EVP_PKEY *pkey, struct kcore_key **ret) {
        struct kcore_key *key = malloc(sizeof(*key));

        if (!key) {
                EVP_PKEY_free(pkey);
                return KCORE_ATTEST_NO_MEMORY;
        }
        *key = (struct kcore_key) { .type = type, .pkey = pkey };
        *ret = key;
        return KCORE_ATTEST_OK;
}

/* point: 0x04, x, y. OpenSSL refuses one that is not on the curve. */
static enum kcore_attest_error key_from_point(const struct curve *c, const uint8_t *point, struct kcore_key **ret) {
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) c->openssl, 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *) point, 1 + 2 * c->size),
                OSSL_PARAM_construct_end(),
        };
        EVP_PKEY_CTX *ctx, *check = NULL;
        EVP_PKEY *pkey = NULL;
        bool good;

        ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        if (!ctx)
                return KCORE_ATTEST_NO_MEMORY;
        good = EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1;
        EVP_PKEY_CTX_free(ctx);
        if (good) {
                check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
                good = check && EVP_PKEY_public_check(check) == 1;
                EVP_PKEY_CTX_free(check);
        }
        if (!good) {
                EVP_PKEY_free(pkey);
                return KCORE_ATTEST_BAD_KEY;
        }
        return key_new(c->type, pkey, ret);
}

static enum kcore_attest_error key_from_coordinates(
                const struct curve *c, const uint8_t *x, const uint8_t *y, struct kcore_key **ret) {

        uint8_t point[1 + 2 * COORDINATE_MAX] = { 0x04 };
        EVP_PKEY *pkey;

        if (c->cose_kty == 2) {
                memcpy(point + 1, x, c->size);
                memcpy(point + 1 + c->size, y, c->size);
                return key_from_point(c, point, ret);
        }
        pkey = EVP_PKEY_new_raw_public_key_ex(NULL, c->openssl, NULL, x, c->size);
        if (!pkey)
                return KCORE_ATTEST_BAD_KEY;
        return key_new(c->type, pkey, ret);
}

enum kcore_attest_error key_from_p384_point(const uint8_t *point, size_t size, struct kcore_key **ret) {
        if (size != 97 || point[0] != 0x04)
                return KCORE_ATTEST_BAD_KEY;
        return key_from_point(&curves[1], point, ret);
}

enum kcore_attest_error key_from_cose(const struct item *map, struct kcore_key **ret) {
        struct item kty, crv, x, y, other;

        if (map->kind != ITEM_MAP || !cbor_find(map, 1, &kty) || !cbor_find(map, -1, &crv) || !cbor_find(map, -2, &x))
                return KCORE_ATTEST_BAD_KEY;
        if (cbor_find(map, -4, &other)) /* d */
                return KCORE_ATTEST_BAD_KEY;
        for (size_t i = 0; i < N_CURVES; i++) {
                const struct curve *c = &curves[i];

                if (!item_is_integer(&kty, c->cose_kty) || !item_is_integer(&crv, c->cose_crv))
                        continue;
                /* A key for another algorithm is not to be used for this one. */
                if (cbor_find(map, 3, &other) && c->algorithm != 0 && !item_is_integer(&other, c->algorithm))
                        return KCORE_ATTEST_BAD_KEY;
                if (x.kind != ITEM_BYTES || x.size != c->size)
                        return KCORE_ATTEST_BAD_KEY;
                if (c->cose_kty == 2 && (!cbor_find(map, -3, &y) || y.kind != ITEM_BYTES || y.size != c->size))
                        return KCORE_ATTEST_BAD_KEY;
                return key_from_coordinates(c, x.data, c->cose_kty == 2 ? y.data : NULL, ret);
        }
        return KCORE_ATTEST_BAD_KEY;
}

/* ---- Files ---------------------------------------------------------------------------------------------- */

static enum kcore_attest_error key_from_pem(const uint8_t *data, size_t size, struct kcore_key **ret) {
        EVP_PKEY *pkey;
        char group[32];
        BIO *bio;

        bio = BIO_new_mem_buf(data, (int) size);
        if (!bio)
                return KCORE_ATTEST_NO_MEMORY;
        pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        BIO_free(bio);
        if (!pkey)
                return KCORE_ATTEST_BAD_KEY;
        for (size_t i = 0; i < N_CURVES; i++) {
                const struct curve *c = &curves[i];
                uint8_t point[1 + 2 * COORDINATE_MAX];
                enum kcore_attest_error e;
                size_t n;

                if (c->cose_kty == 1) {
                        if (EVP_PKEY_is_a(pkey, c->openssl))
                                return key_new(c->type, pkey, ret);
                        continue;
                }
                if (!EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1 ||
                    EC_curve_nist2nid(c->name) != OBJ_sn2nid(group))
                        continue;
                /* Anew from its point, so that all keys are alike, whatever the file said beside it. */
                if (EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") != 1 ||
                    EVP_PKEY_get_octet_string_param(
                                    pkey, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof(point), &n) != 1 ||
                    n != 1 + 2 * c->size || point[0] != 0x04)
                        break;
                e = key_from_point(c, point, ret);
                EVP_PKEY_free(pkey);
                return e;
        }
        EVP_PKEY_free(pkey);
        return KCORE_ATTEST_BAD_KEY;
}

/* A coordinate of a JWK: exactly size bytes of base64url without padding (RFC 7515 2). */
static bool jwk_coordinate(sd_json_variant *v, const char *name, size_t size, uint8_t *ret) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        sd_json_variant *field = sd_json_variant_by_key(v, name);
        uint32_t bits = 0, n_bits = 0;
        const char *s;

        if (!field || !sd_json_variant_is_string(field))
                return false;
        s = sd_json_variant_string(field);
        if (strlen(s) != (8 * size + 5) / 6)
                return false;
        for (; *s; s++) {
                const char *digit = strchr(digits, *s);

                if (!digit)
                        return false;
                bits = bits << 6 | (uint32_t) (digit - digits);
                n_bits += 6;
                if (n_bits >= 8) {
                        n_bits -= 8;
                        *ret++ = (uint8_t) (bits >> n_bits);
                        bits &= (1u << n_bits) - 1;
                }
        }
        return bits == 0;
}

static enum kcore_attest_error key_from_jwk(const uint8_t *data, size_t size, struct kcore_key **ret) {
        enum kcore_attest_error e = KCORE_ATTEST_BAD_KEY;
        uint8_t x[COORDINATE_MAX], y[COORDINATE_MAX];
        sd_json_variant *v = NULL, *crv, *kty;
        char *text;

        text = strndup((const char *) data, size);
        if (!text)
                return KCORE_ATTEST_NO_MEMORY;
        if (sd_json_parse(text, 0, &v, NULL, NULL) < 0 || !sd_json_variant_is_object(v))
                goto finish;
        crv = sd_json_variant_by_key(v, "crv");
        kty = sd_json_variant_by_key(v, "kty");
        if (!crv || !sd_json_variant_is_string(crv) || !kty || !sd_json_variant_is_string(kty) ||
            sd_json_variant_by_key(v, "d"))
                goto finish;
        for (size_t i = 0; i < N_CURVES; i++) {
                const struct curve *c = &curves[i];

                if (strcmp(sd_json_variant_string(crv), c->name) != 0 ||
                    strcmp(sd_json_variant_string(kty), c->cose_kty == 2 ? "EC" : "OKP") != 0)
                        continue;
                if (jwk_coordinate(v, "x", c->size, x) && (c->cose_kty == 1 || jwk_coordinate(v, "y", c->size, y)))
                        e = key_from_coordinates(c, x, y, ret);
                break;
        }
finish:
        sd_json_variant_unref(v);
        free(text);
        return e;
}

enum kcore_attest_error kcore_key_parse(const uint8_t *data, size_t size, struct kcore_key **ret) {
        static const char pem[] = "-----BEGIN ";
        enum kcore_attest_error e;
        struct item map;

        if (size > KCORE_KEY_FILE_MAX)
                return KCORE_ATTEST_TOO_LARGE;
        if (size >= sizeof(pem) - 1 && memcmp(data, pem, sizeof(pem) - 1) == 0)
                return key_from_pem(data, size, ret);
        if (size > 0 && data[0] == '{')
                return key_from_jwk(data, size, ret);
        e = cbor_check(data, size);
        if (e != KCORE_ATTEST_OK)
                return e;
        cbor_item(data, size, &map);
        return key_from_cose(&map, ret);
}

void kcore_key_free(struct kcore_key *key) {
        if (!key)
                return;
        EVP_PKEY_free(key->pkey);
        free(key);
}

/* ---- What keys are -------------------------------------------------------------------------------------- */

enum kcore_key_type kcore_key_type(const struct kcore_key *key) {
        return key->type;
}

const char *kcore_key_type_name(const struct kcore_key *key) {
        return curve_of(key)->name;
}

enum kcore_attest_error key_raw(const struct kcore_key *key, uint8_t ret[32]) {
        size_t n = 32;

        if (curve_of(key)->cose_kty != 1 || EVP_PKEY_get_raw_public_key(key->pkey, ret, &n) != 1 || n != 32)
                return KCORE_ATTEST_CRYPTO_FAILED;
        return KCORE_ATTEST_OK;
}

enum kcore_attest_error kcore_key_thumbprint(const struct kcore_key *key, uint8_t ret[32]) {
        uint8_t cose[16 + 2 * COORDINATE_MAX], point[1 + 2 * COORDINATE_MAX], *p = cose;
        const struct curve *c = curve_of(key);
        size_t n;

        if (c->cose_kty == 2) {
                if (EVP_PKEY_get_octet_string_param(
                                    key->pkey, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof(point), &n) != 1 ||
                    n != 1 + 2 * c->size)
                        return KCORE_ATTEST_CRYPTO_FAILED;
        } else if (key_raw(key, point + 1) != KCORE_ATTEST_OK)
                return KCORE_ATTEST_CRYPTO_FAILED;

        /* kty, crv, x, y: in the order of deterministic encoding. */
        *p++ = c->cose_kty == 2 ? 0xa4 : 0xa3;
        *p++ = 0x01;
        *p++ = (uint8_t) c->cose_kty;
        *p++ = 0x20;
        *p++ = (uint8_t) c->cose_crv;
        for (size_t i = 0; i < (c->cose_kty == 2 ? 2 : 1); i++) {
                *p++ = (uint8_t) (0x21 + i);
                *p++ = 0x58;
                *p++ = (uint8_t) c->size;
                memcpy(p, point + 1 + i * c->size, c->size);
                p += c->size;
        }
        if (EVP_Digest(cose, (size_t) (p - cose), ret, NULL, EVP_sha256(), NULL) != 1)
                return KCORE_ATTEST_CRYPTO_FAILED;
        return KCORE_ATTEST_OK;
}

/* ---- Signatures and hashes ------------------------------------------------------------------------------ */

const char *algorithm_name(int64_t algorithm) {
        switch (algorithm) {
        case COSE_ES256:
                return "ES256";
        case COSE_ES384:
                return "ES384";
        case COSE_ES512:
                return "ES512";
        case COSE_EDDSA:
                return "EdDSA";
        }
        return NULL;
}

/* r and s of one size to the DER that OpenSSL takes. Returns its length, or negative. */
static int ecdsa_to_der(const uint8_t *raw, size_t size, uint8_t **ret) {
        ECDSA_SIG *sig = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(raw, (int) size, NULL), *s = BN_bin2bn(raw + size, (int) size, NULL);
        int n = -1;

        if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
                r = s = NULL;
                n = i2d_ECDSA_SIG(sig, ret);
        }
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return n;
}

enum kcore_attest_error key_verify(
                const struct kcore_key *key,
                int64_t algorithm,
                const uint8_t *message,
                size_t message_size,
                const uint8_t *signature,
                size_t signature_size) {

        const struct curve *c = curve_of(key);
        enum kcore_attest_error e = KCORE_ATTEST_BAD_SIGNATURE;
        uint8_t *der = NULL;
        EVP_MD_CTX *ctx;
        int n;

        if (!algorithm_name(algorithm))
                return KCORE_ATTEST_UNSUPPORTED_ALGORITHM;
        if (c->algorithm != algorithm)
                return KCORE_ATTEST_KEY_MISMATCH;
        if (signature_size != 2 * c->size)
                return KCORE_ATTEST_WRONG_SIZE;
        if (c->cose_kty == 2) {
                n = ecdsa_to_der(signature, c->size, &der);
                if (n < 0)
                        return KCORE_ATTEST_NO_MEMORY;
                signature = der;
                signature_size = (size_t) n;
        }
        ctx = EVP_MD_CTX_new();
        if (!ctx)
                e = KCORE_ATTEST_NO_MEMORY;
        else if (EVP_DigestVerifyInit_ex(ctx, NULL, c->hash, NULL, NULL, key->pkey, NULL) != 1)
                e = KCORE_ATTEST_CRYPTO_FAILED;
        else if (EVP_DigestVerify(ctx, signature, signature_size, message, message_size) == 1)
                e = KCORE_ATTEST_OK;
        EVP_MD_CTX_free(ctx);
        OPENSSL_free(der);
        return e;
}

const char *hash_name_to_openssl(const char *name, size_t *ret_size) {
        static const struct {
                const char *name, *openssl;
                size_t size;
        } hashes[] = {
                { "sha-256", "SHA256", 32 },
                { "sha-384", "SHA384", 48 },
                { "sha-512", "SHA512", 64 },
        };

        for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
                if (strcmp(name, hashes[i].name) == 0) {
                        *ret_size = hashes[i].size;
                        return hashes[i].openssl;
                }
        return NULL;
}

enum kcore_attest_error hash_bytes(const char *name, const uint8_t *data, size_t size, struct kcore_digest *ret) {
        struct kcore_digest d = {};
        const char *openssl = hash_name_to_openssl(name, &d.size);

        if (!openssl)
                return KCORE_ATTEST_UNSUPPORTED_HASH;
        if (EVP_Q_digest(NULL, openssl, NULL, data, size, d.data, NULL) != 1)
                return KCORE_ATTEST_CRYPTO_FAILED;
        *ret = d;
        return KCORE_ATTEST_OK;
}
