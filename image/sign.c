/* SPDX-License-Identifier: Apache-2.0 */
#include "kci.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "../attest/include/kcore-attest.h"
#include "../libkcore/layout.h"

#define KEY_FILE_MAX (64 * KIB)

/* --- keys --- */

static int read_key_file(int fd, BIO **ret, uint8_t **ret_data, size_t *ret_size, struct kci_error *e) {
        struct stat st;
        uint8_t *data;
        BIO *bio;
        int r;

        if (fstat(fd, &st) < 0)
                return kci_fail_errno(e, -errno, "the key can not be read");
        if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t) st.st_size > KEY_FILE_MAX)
                return kci_fail(e, KCI_ERROR_KEY, "a key file is a regular file of at most 64 KiB");
        data = malloc((size_t) st.st_size);
        if (!data)
                return kci_fail_errno(e, -ENOMEM, "the key can not be read");
        r = kci_pread(fd, data, (size_t) st.st_size, 0, e);
        bio = r < 0 ? NULL : BIO_new_mem_buf(data, (int) st.st_size);
        if (!bio) {
                OPENSSL_cleanse(data, (size_t) st.st_size);
                free(data);
                return r < 0 ? r : kci_fail_errno(e, -ENOMEM, "the key can not be read");
        }
        *ret = bio;
        *ret_data = data;
        *ret_size = (size_t) st.st_size;
        return 0;
}

static void key_file_done(BIO *bio, uint8_t *data, size_t size) {
        BIO_free(bio);
        OPENSSL_cleanse(data, size);
        free(data);
        ERR_clear_error();
}

struct passphrase {
        kci_passphrase_t ask;
        void *userdata;
        bool failed;
};

static int on_passphrase(char *buf, int size, int rwflag _unused_, void *userdata) {
        struct passphrase *p = userdata;
        int n = p->ask ? p->ask(buf, size, p->userdata) : -ENOKEY;

        p->failed = n < 0;
        return n < 0 ? -1 : n;
}

int kci_key_read_private(int fd, kci_passphrase_t passphrase, void *userdata, EVP_PKEY **ret, struct kci_error *e) {
        struct passphrase p = { .ask = passphrase, .userdata = userdata };
        EVP_PKEY *key;
        uint8_t *data;
        size_t size;
        BIO *bio;
        int r;

        r = read_key_file(fd, &bio, &data, &size, e);
        if (r < 0)
                return r;
        key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &p);
        key_file_done(bio, data, size);
        if (!key)
                return kci_fail(
                                e, KCI_ERROR_KEY, p.failed ? "the private key is encrypted, and there is no passphrase" :
                                "it is not a private key in PEM, or the passphrase is wrong");
        if (!EVP_PKEY_is_a(key, "ED25519")) {
                EVP_PKEY_free(key);
                return kci_fail(e, KCI_ERROR_KEY, "the key is not an Ed25519 key");
        }
        *ret = key;
        return 0;
}

int kci_key_read_public(int fd, uint8_t ret[static 32], struct kci_error *e) {
        size_t size, n = 32;
        EVP_PKEY *key;
        uint8_t *data;
        BIO *bio;
        int r;

        r = read_key_file(fd, &bio, &data, &size, e);
        if (r < 0)
                return r;
        key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        key_file_done(bio, data, size);
        if (!key)
                return kci_fail(e, KCI_ERROR_KEY, "it is not a public key in PEM");
        if (!EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_get_raw_public_key(key, ret, &n) != 1 || n != 32)
                r = kci_fail(e, KCI_ERROR_KEY, "the key is not an Ed25519 key");
        EVP_PKEY_free(key);
        return r;
}

/* --- signatures --- */

static int sign_bytes(EVP_PKEY *key, const uint8_t *data, size_t size, uint8_t ret[static 64], struct kci_error *e) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        size_t n = 64;
        bool ok;

        ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 && EVP_DigestSign(ctx, ret, &n, data, size) == 1 && n == 64;
        EVP_MD_CTX_free(ctx);
        ERR_clear_error();
        return ok ? 0 : kci_fail(e, KCI_ERROR_CRYPTO, "signing failed");
}

static int check_bytes(EVP_PKEY *key, const uint8_t *data, size_t size, const uint8_t signature[static 64], const char *what, struct kci_error *e) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool ok;

        ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 && EVP_DigestVerify(ctx, signature, 64, data, size) == 1;
        EVP_MD_CTX_free(ctx);
        ERR_clear_error();
        return ok ? 0 : kci_fail(e, KCI_ERROR_SIGNATURE, "the signature of the %s is wrong", what);
}

int kci_check_signature(const struct kci_image *i, struct kci_error *e) {
        uint8_t block[KCI_BLOCK_SIZE], manifest[KCI_MANIFEST_MAX];
        EVP_PKEY *key;
        size_t size;
        int r;

        if (!i->is_signed)
                return kci_fail(e, KCI_ERROR_STATE, "the image is not signed");
        r = kci_manifest_to_be_signed(i, manifest, &size);
        if (r < 0)
                return kci_fail(e, KCI_ERROR_SIZE, "the manifest is too large");
        kci_block_encode(i, block);
        key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, i->signer, sizeof(i->signer));
        if (!key)
                return kci_fail(e, KCI_ERROR_CRYPTO, "Ed25519 is not available");
        r = check_bytes(key, block, KCI_BLOCK_SIGNED, i->block_signature, "launch block", e);
        r = r < 0 ? r : check_bytes(key, manifest, size, i->manifest_signature, "manifest", e);
        EVP_PKEY_free(key);
        return r;
}

/* --- measurement --- */

struct measuring {
        const struct kci_image *image;
        struct kcore_measure *m;
        const struct kci_image *written; /* where the data go in out */
        int out;                         /* < 0: nowhere */
};

static int measure_fail(enum kcore_attest_error error, struct kci_error *e) {
        return kci_fail(e, KCI_ERROR_MEASUREMENT, "the image can not be measured: %s", kcore_attest_strerror(error));
}

static int on_data(size_t k, uint64_t at, const uint8_t *data, size_t n, void *userdata, struct kci_error *e) {
        struct measuring *w = userdata;

        for (size_t p = 0; p < n; p += KCI_PAGE) {
                enum kcore_attest_error error;

                error = kcore_measure_data(w->m, w->image->segments[k].ipa + at + p, data + p);
                if (error != KCORE_ATTEST_OK)
                        return measure_fail(error, e);
        }
        return w->out < 0 ? 0 : kci_pwrite(w->out, data, n, w->written->segments[k].offset + at, e);
}

/* In the order of /dev/kcore: realm, policy, RIPAS of RAM, segments, vCPU 0. */
static int measure(int in, const struct kci_image *i, const struct kci_image *written, int out, const struct kci_progress *progress, uint8_t ret_rim[static 64], struct kci_error *e) {
        struct measuring w = { .image = i, .written = written, .out = out };
        const uint64_t gprs[8] = { i->x0 };
        uint8_t block[KCI_BLOCK_SIZE];
        enum kcore_attest_error error;
        int r = 0;

        error = kcore_measure_new(i->s2sz, i->hash_algo, &w.m);
        if (error != KCORE_ATTEST_OK)
                return measure_fail(error, e);
        if (i->is_signed) { /* otherwise it is launched without a policy */
                kci_block_encode(i, block);
                error = kcore_measure_policy(w.m, block);
        }
        if (error == KCORE_ATTEST_OK)
                error = kcore_measure_init_ripas(w.m, VIRT_RAM_BASE, VIRT_RAM_BASE + i->memory);
        if (error == KCORE_ATTEST_OK) {
                r = kci_visit(in, i, progress, on_data, &w, e);
                if (r >= 0)
                        error = kcore_measure_rec(w.m, i->entry, gprs);
        }
        if (error != KCORE_ATTEST_OK)
                r = measure_fail(error, e);
        else if (r >= 0)
                kcore_measure_rim(w.m, ret_rim, NULL);
        kcore_measure_free(w.m);
        return r;
}

int kci_measure(int fd, const struct kci_image *i, const struct kci_progress *progress, uint8_t ret_rim[static 64], struct kci_error *e) {
        return measure(fd, i, i, -EBADF, progress, ret_rim, e);
}

int kci_sign(int in, struct kci_image *i, EVP_PKEY *key, int out, const struct kci_progress *progress, struct kci_error *e) {
        uint8_t header[KCI_HEADER_MAX], block[KCI_BLOCK_SIZE], manifest[KCI_MANIFEST_MAX];
        struct kci_image plain = *i, new = *i;
        size_t size, n = sizeof(new.signer);
        int r;

        if (kci_is_sealed(i))
                return kci_fail(e, KCI_ERROR_STATE, "the image is sealed; sign it before it is sealed");
        if (!EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_get_raw_public_key(key, new.signer, &n) != 1 || n != sizeof(new.signer))
                return kci_fail(e, KCI_ERROR_KEY, "the key is not an Ed25519 key");

        /* Where the data go depends on the size of the header, not on what is in it. */
        new.is_signed = true;
        memset(new.rim, 1, 32);
        r = kci_header_encode(&new, header, &size, e);
        if (r < 0)
                return r;
        /* What is measured is the new policy and signer with the data where they are now. */
        plain.is_signed = true;
        memcpy(plain.signer, new.signer, sizeof(plain.signer));
        r = measure(in, &plain, &new, out, progress, new.rim, e);
        if (r < 0)
                return r;

        kci_block_encode(&new, block);
        r = sign_bytes(key, block, KCI_BLOCK_SIGNED, new.block_signature, e);
        if (r >= 0 && kci_manifest_to_be_signed(&new, manifest, &n) < 0)
                r = kci_fail(e, KCI_ERROR_SIZE, "the manifest is too large");
        r = r < 0 ? r : sign_bytes(key, manifest, n, new.manifest_signature, e);
        r = r < 0 ? r : kci_header_encode(&new, header, &size, e);
        r = r < 0 ? r : kci_check_signature(&new, e);
        r = r < 0 ? r : kci_pwrite(out, header, size, 0, e);
        if (r >= 0)
                *i = new;
        return r;
}
