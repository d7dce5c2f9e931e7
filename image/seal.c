/* SPDX-License-Identifier: Apache-2.0 */
#include "kci.h"

#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hpke.h>
#include <openssl/rand.h>

#include "../attest/include/kcore-attest.h"

/* What KCore binds to a key and to a page (docs/abi.md, KCORE_LAUNCH_KEY and KCORE_DATA_CREATE_SEALED). */
#define KEY_INFO "kcore image key 1"
#define KEY_SIZE 32
#define CHUNK_PAGES (1 * MIB / KCI_PAGE)

struct sealing {
        const struct kci_image *image; /* of out */
        EVP_CIPHER_CTX *cipher;        /* has the content key */
        uint8_t *pages, *tags;         /* of a chunk */
        int out;
};

/* HPKE base mode, single shot: info names the image, the associated data are all of the launch block that is
 * signed. So the key is of use with this very policy and measurement only. */
static int seal_key(const struct kci_image *i, const uint8_t content_key[static KEY_SIZE], const uint8_t public[static 32], struct kci_recipient *ret, struct kci_error *e) {
        const OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256, OSSL_HPKE_AEAD_ID_CHACHA_POLY1305 };
        uint8_t info[sizeof(KEY_INFO) - 1 + sizeof(i->id)], block[KCI_BLOCK_SIZE];
        size_t enc_size = sizeof(ret->enc), ct_size = sizeof(ret->ct);
        OSSL_HPKE_CTX *ctx;
        bool ok;

        memcpy(info, KEY_INFO, sizeof(KEY_INFO) - 1);
        memcpy(info + sizeof(KEY_INFO) - 1, i->id, sizeof(i->id));
        kci_block_encode(i, block);
        ctx = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_SENDER, NULL, NULL);
        ok = ctx && EVP_Digest(public, 32, ret->key, NULL, EVP_sha256(), NULL) == 1 &&
                OSSL_HPKE_encap(ctx, ret->enc, &enc_size, public, 32, info, sizeof(info)) == 1 &&
                OSSL_HPKE_seal(ctx, ret->ct, &ct_size, block, KCI_BLOCK_SIGNED, content_key, KEY_SIZE) == 1 &&
                enc_size == sizeof(ret->enc) && ct_size == sizeof(ret->ct);
        OSSL_HPKE_CTX_free(ctx);
        ERR_clear_error();
        return ok ? 0 : kci_fail(e, KCI_ERROR_KEY, "nothing can be sealed to the platform's key");
}

/* ChaCha20-Poly1305 of a page at ipa; the key is fresh, so that an address makes a nonce. */
static int seal_page(const struct sealing *s, uint64_t ipa, const uint8_t *plain, uint8_t *page, uint8_t *tag) {
        uint8_t nonce[12] = {}, aad[sizeof(s->image->id) + 8];
        uint64_t le = htole64(ipa);
        int n;

        memcpy(nonce + 4, &le, sizeof(le));
        memcpy(aad, s->image->id, sizeof(s->image->id));
        memcpy(aad + sizeof(s->image->id), &le, sizeof(le));
        return EVP_EncryptInit_ex(s->cipher, NULL, NULL, NULL, nonce) == 1 &&
                EVP_EncryptUpdate(s->cipher, NULL, &n, aad, sizeof(aad)) == 1 &&
                EVP_EncryptUpdate(s->cipher, page, &n, plain, KCI_PAGE) == 1 && n == KCI_PAGE &&
                EVP_EncryptFinal_ex(s->cipher, page + n, &n) == 1 && n == 0 &&
                EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, KCI_TAG_SIZE, tag) == 1 ? 0 : -EIO;
}

static int on_data(size_t k, uint64_t at, const uint8_t *data, size_t n, void *userdata, struct kci_error *e) {
        const struct sealing *s = userdata;
        const struct kci_segment *seg = &s->image->segments[k];
        size_t pages = n / KCI_PAGE;
        int r;

        for (size_t p = 0; p < pages; p++)
                if (seal_page(s, seg->ipa + at + p * KCI_PAGE, data + p * KCI_PAGE, s->pages + p * KCI_PAGE, s->tags + p * KCI_TAG_SIZE) < 0)
                        return kci_fail(e, KCI_ERROR_CRYPTO, "encryption failed");
        r = kci_pwrite(s->out, s->pages, n, seg->offset + at, e);
        return r < 0 ? r : kci_pwrite(s->out, s->tags, pages * KCI_TAG_SIZE, seg->tags + at / KCI_PAGE * KCI_TAG_SIZE, e);
}

static int seal_all(int in, const struct kci_image *plain, struct kci_image *sealed, const uint8_t (*keys)[32], const uint8_t content_key[static KEY_SIZE], struct sealing *s, const struct kci_progress *progress, struct kci_error *e) {
        uint8_t header[KCI_HEADER_MAX];
        size_t size;
        int r;

        if (EVP_EncryptInit_ex(s->cipher, EVP_chacha20_poly1305(), NULL, content_key, NULL) != 1)
                return kci_fail(e, KCI_ERROR_CRYPTO, "ChaCha20-Poly1305 is not available");
        for (size_t k = 0; k < sealed->n_recipients; k++) {
                r = seal_key(sealed, content_key, keys[k], &sealed->recipients[k], e);
                if (r < 0)
                        return r;
                for (size_t j = 0; j < k; j++)
                        if (memcmp(sealed->recipients[j].key, sealed->recipients[k].key, 32) == 0)
                                return kci_fail(e, KCI_ERROR_DUPLICATE, "platforms %zu and %zu are the same", j + 1, k + 1);
        }
        r = kci_header_encode(sealed, header, &size, e); /* places the segments */
        r = r < 0 ? r : kci_visit(in, plain, progress, on_data, s, e);
        if (r >= 0 && ftruncate(s->out, (off_t) sealed->size) < 0) /* the filling of the last tags */
                r = kci_fail_errno(e, -errno, "writing failed");
        return r < 0 ? r : kci_pwrite(s->out, header, size, 0, e);
}

int kci_seal(int in, struct kci_image *i, const uint8_t (*keys)[32], size_t n_keys, int out, const struct kci_progress *progress, struct kci_error *e) {
        struct kci_image sealed = *i;
        struct sealing s = { .image = &sealed, .out = out };
        uint8_t content_key[KEY_SIZE];
        int r;

        if (kci_is_sealed(i))
                return kci_fail(e, KCI_ERROR_STATE, "the image is sealed already; seal the plain one to all platforms at once");
        if (n_keys < 1 || n_keys > KCI_RECIPIENTS_MAX)
                return kci_fail(e, KCI_ERROR_INPUT, "an image is sealed to 1 to %d platforms", KCI_RECIPIENTS_MAX);
        r = kci_check_signature(i, e);
        if (r < 0)
                return r;
        if (RAND_priv_bytes(content_key, sizeof(content_key)) != 1)
                return kci_fail(e, KCI_ERROR_CRYPTO, "there are no random numbers");

        sealed.n_recipients = n_keys;
        s.cipher = EVP_CIPHER_CTX_new();
        s.pages = malloc(CHUNK_PAGES * KCI_PAGE);
        s.tags = malloc(CHUNK_PAGES * KCI_TAG_SIZE);
        if (s.cipher && s.pages && s.tags)
                r = seal_all(in, i, &sealed, keys, content_key, &s, progress, e);
        else
                r = kci_fail_errno(e, -ENOMEM, "the image can not be sealed");
        OPENSSL_cleanse(content_key, sizeof(content_key));
        EVP_CIPHER_CTX_free(s.cipher);
        free(s.pages);
        free(s.tags);
        if (r >= 0)
                *i = sealed;
        return r;
}

int kci_find_recipient(const struct kci_image *i, const uint8_t *identity, size_t size, const struct kci_recipient **ret, struct kci_error *e) {
        const struct kcore_identity_claims *claims;
        const struct kci_recipient *found = NULL;
        struct kcore_identity *id = NULL;
        enum kcore_attest_error error;

        error = kcore_identity_parse(identity, size, &id, NULL);
        if (error != KCORE_ATTEST_OK)
                return kci_fail(e, KCI_ERROR_KEY, "the platform's identity can not be used: %s", kcore_attest_strerror(error));
        claims = kcore_identity_claims(id);
        for (size_t k = 0; k < i->n_recipients; k++)
                if (memcmp(i->recipients[k].key, claims->sealing_key_hash, sizeof(i->recipients[k].key)) == 0)
                        found = &i->recipients[k];
        kcore_identity_free(id);
        if (!found)
                return kci_fail(e, KCI_ERROR_STATE, "it is not sealed to this platform, or to another version of its KCore");
        *ret = found;
        return 0;
}
