/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt.h"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#define KEY "token-key.pem"
#define PUBLIC_KEY "token-key.pub.pem"

static FILE *open_at(int dir_fd, const char *name, int flags, mode_t mode, const char *how) {
        int fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
        FILE *f;

        if (fd < 0)
                return NULL;
        f = fdopen(fd, how);
        if (!f)
                close(fd);
        return f;
}

static int make_key(int dir_fd, EVP_PKEY **ret) {
        _cleanup_pkey_ EVP_PKEY *key = NULL;
        FILE *f;
        int r;

        r = p256_generate(&key);
        if (r < 0)
                return r;
        /* Under another name first: a key that is there is whole. */
        (void) unlinkat(dir_fd, KEY ".new", 0);
        f = open_at(dir_fd, KEY ".new", O_WRONLY | O_CREAT | O_EXCL, 0600, "w");
        if (!f)
                return -errno;
        r = PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fflush(f) == 0 && fsync(fileno(f)) == 0 ? 0 : -EIO;
        fclose(f);
        if (r == 0 && renameat(dir_fd, KEY ".new", dir_fd, KEY) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(dir_fd, KEY ".new", 0);
                return r;
        }
        *ret = TAKE_PTR(key);
        return 0;
}

int jwt_key_load(int dir_fd, EVP_PKEY **ret) {
        _cleanup_pkey_ EVP_PKEY *key = NULL;
        struct p256_public public;
        struct stat st;
        FILE *f;
        int r;

        f = open_at(dir_fd, KEY, O_RDONLY | O_NONBLOCK, 0, "r");
        if (f) {
                if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077)) {
                        fclose(f);
                        return -EPERM;
                }
                key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
                fclose(f);
                if (!key || !EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_bits(key) != 256 || p256_export(key, &public) < 0)
                        return -EBADMSG;
        } else if (errno == ENOENT) {
                r = make_key(dir_fd, &key);
                if (r < 0)
                        return r;
        } else
                return -errno;

        f = open_at(dir_fd, PUBLIC_KEY, O_WRONLY | O_CREAT | O_TRUNC, 0644, "w");
        if (!f)
                return -errno;
        r = PEM_write_PUBKEY(f, key) == 1 && fflush(f) == 0 ? 0 : -EIO;
        fclose(f);
        if (r == 0)
                *ret = TAKE_PTR(key);
        return r;
}

/* r and s, 32 bytes each: the form of JWS, where OpenSSL has DER. */
static int sign_raw(EVP_PKEY *key, const void *data, size_t n, uint8_t out[static 64]) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t der[80];
        const uint8_t *p = der;
        size_t size = sizeof(der);
        ECDSA_SIG *sig = NULL;
        int r = -EIO;

        if (ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
            EVP_DigestSign(ctx, der, &size, data, n) == 1 && (sig = d2i_ECDSA_SIG(NULL, &p, (long) size)) &&
            BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) == 32 && BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) == 32)
                r = 0;
        ECDSA_SIG_free(sig);
        EVP_MD_CTX_free(ctx);
        return r;
}

int jwt_sign(EVP_PKEY *key, const char *claims, char **ret) {
        static const char header[] = "{\"alg\":\"ES256\",\"typ\":\"JWT\"}";
        char header64[BASE64URL_SIZE(sizeof(header) - 1)], signature64[BASE64URL_SIZE(64)];
        _cleanup_free_ char *claims64 = malloc(BASE64URL_SIZE(strlen(claims))), *input = NULL;
        uint8_t signature[64];
        int r;

        if (!claims64)
                return -ENOMEM;
        if (asprintf(
                            &input, "%s.%s", base64url_encode(header, sizeof(header) - 1, header64),
                            base64url_encode(claims, strlen(claims), claims64)) < 0)
                return -ENOMEM;
        r = sign_raw(key, input, strlen(input), signature);
        if (r < 0)
                return r;
        return asprintf(ret, "%s.%s", input, base64url_encode(signature, sizeof(signature), signature64)) < 0 ? -ENOMEM : 0;
}
