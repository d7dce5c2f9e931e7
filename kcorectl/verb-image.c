/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libfdt.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../attest/include/kcore-attest.h"
#include "../image/kci.h"
#include "../libkcore/guest-config.h"
#include "../libkcore/layout.h"

#define PASSPHRASE_MAX 1024
#define MIN_VERSION_DEFAULT (UINT64_C(1) << 16) /* the first that knows launch policies */

static const char usage[] =
        "usage: kcorectl image build -o IMAGE.kci --kernel IMAGE [OPTION...]\n"
        "       kcorectl image build -o IMAGE.kci --uki FILE [OPTION...]\n"
        "       kcorectl image key -o KEY.pem [--encrypt]\n"
        "       kcorectl image sign IMAGE.kci --key KEY.pem [-o OUTPUT]\n"
        "       kcorectl image seal IMAGE.kci --to X.kplat... -o OUTPUT\n"
        "       kcorectl image inspect IMAGE.kci\n"
        "       kcorectl image verify IMAGE.kci [--signer KEY.pub]\n"
        "\n"
        "Makes and looks at images: guests as their tenants sign them.\n"
        "\n"
        "build:\n"
        "  -o, --output FILE          the image, unsigned\n"
        "  -u, --uki FILE             unified kernel image: .linux, .initrd, .cmdline\n"
        "  -k, --kernel IMAGE         arm64 Linux Image, not compressed\n"
        "  -i, --initrd FILE          its initrd\n"
        "  -a, --append LINE          the kernel's command line\n"
        "  -m, --memory SIZE          private memory, as 512M or 2G (default 512M)\n"
        "  -c, --vcpus N              virtual CPUs (default 1)\n"
        "      --name NAME            of the image, for people (default: of the file)\n"
        "      --early-console        kernel messages from the first instruction on\n"
        "      --hash ALGORITHM       of the measurement: sha256 (default) or sha512\n"
        "      --max-shared SIZE      how much memory the guest may share with its host\n"
        "      --min-version X.Y      KCore's version, at least (default 1.0)\n"
        "      --allow-debug          the host may debug the guest\n"
        "      --allow-snapshots      the host may take snapshots\n"
        "      --image-id HEX         32 bytes (default random)\n"
        "key:\n"
        "  -o, --output FILE          a new Ed25519 private key; FILE.pub is the public one\n"
        "      --encrypt              with a passphrase, asked for on the terminal\n"
        "      --passphrase-file FILE with the passphrase that is its first line\n"
        "sign:\n"
        "      --key FILE             private key, PEM, Ed25519\n"
        "      --passphrase-file FILE what opens it; asked for otherwise\n"
        "  -o, --output FILE          default: the image is replaced\n"
        "seal:\n"
        "      --to FILE              a platform's identity; up to 64 times\n"
        "      --root HEX             what every platform's chain must begin with: SHA-256\n"
        "                             of the root key, as \"seal\" shows it\n"
        "  -o, --output FILE          the sealed image\n"
        "verify:\n"
        "      --signer FILE          public key, PEM, that must have signed it\n"
        "\n"
        "  -j, --json                 machine-readable output\n";

struct arguments {
        const char *image;
        const char *to[KCI_RECIPIENTS_MAX];
        size_t n_to;
        uint8_t root[32];
        bool has_root;
        const char *output, *uki, *kernel, *initrd, *append, *name, *key, *passphrase_file, *signer;
        struct kci_input input;
        uint8_t id[32];
        bool encrypt;
};

/* --- errors, progress, secrets --- */

static int image_error(const char *path, int error, const struct kci_error *e) {
        char id[32];
        int exit_code = EXIT_INVALID;

        if (e->code == KCI_ERROR_IO)
                exit_code = error == -EACCES || error == -EPERM ? EXIT_PERMISSION : error == -ENOENT ? EXIT_INVALID : EXIT_FAILED;
        else if (e->code == KCI_ERROR_CRYPTO)
                exit_code = EXIT_FAILED;
        snprintf(id, sizeof(id), "Image.%s", kci_code_to_string(e->code));
        return report_error(exit_code, id, NULL, "%s: %s", path, e->message);
}

static int open_error(const char *path, int error) {
        return report_error(
                        error == -EACCES || error == -EPERM ? EXIT_PERMISSION : EXIT_INVALID, "File", NULL,
                        "%s: %s", path, strerror(-error));
}

static int open_input(const char *path, int *ret) {
        *ret = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        return *ret < 0 ? open_error(path, -errno) : 0;
}

static uint64_t last_shown;

static int on_progress(uint64_t done, uint64_t total, void *userdata) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now - last_shown >= 100 * USEC_PER_MSEC) {
                last_shown = now;
                fprintf(stderr, "\r\x1b[K%s: %" PRIu64 " of %" PRIu64 " MiB", (const char *) userdata, done / MIB, total / MIB);
        }
        return 0;
}

static struct kci_progress progress(const char *what) {
        last_shown = now_usec(CLOCK_MONOTONIC);
        return (struct kci_progress) {
                .report = !context.json && isatty(STDERR_FILENO) ? on_progress : NULL,
                .userdata = (void *) what,
        };
}

static void progress_done(const struct kci_progress *p) {
        if (p->report)
                fputs("\r\x1b[K", stderr);
}

/* While there are secrets in this process it leaves no core dump, and no other process of the user may look
 * into it. It also may not use its own /proc/self/fd then, which is needed to name an output. */
static void secrets_begin(void) {
        const struct rlimit none = {};

        (void) setrlimit(RLIMIT_CORE, &none);
        (void) prctl(PR_SET_DUMPABLE, 0);
}

static void secrets_end(void) {
        (void) prctl(PR_SET_DUMPABLE, 1);
}

/* First line of a file. */
static int passphrase_from_file(const char *path, char *buf, int size) {
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        n = read(fd, buf, (size_t) size);
        if (n < 0)
                return -errno;
        for (ssize_t i = 0; i < n; i++)
                if (buf[i] == '\n' || buf[i] == 0)
                        n = i;
        if (n == size)
                return -EFBIG;
        buf[n] = 0;
        return n == 0 ? -EINVAL : (int) n;
}

static int passphrase_from_terminal(char *buf, int size, bool twice) {
        _cleanup_close_ int tty = -EBADF;

        /* OpenSSL would read standard input instead. */
        tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (tty < 0)
                return -errno;
        if (EVP_read_pw_string_min(buf, 1, size - 1, "Passphrase of the key: ", twice) != 0)
                return -ECANCELED;
        return (int) strlen(buf);
}

static int on_passphrase(char *buf, int size, void *userdata) {
        const struct arguments *a = userdata;

        return a->passphrase_file ? passphrase_from_file(a->passphrase_file, buf, size) : passphrase_from_terminal(buf, size, false);
}

/* --- build --- */

static int span_of_file(const char *path, struct kci_span *ret, unsigned *mode) {
        struct stat st;
        int r;

        r = open_input(path, &ret->fd);
        if (r != 0)
                return r;
        if (fstat(ret->fd, &st) < 0)
                return open_error(path, -errno);
        if (!S_ISREG(st.st_mode) || st.st_size <= 0)
                return report_error(EXIT_INVALID, "File", NULL, "%s: %s", path, S_ISREG(st.st_mode) ? "empty file" : "not a regular file");
        ret->offset = 0;
        ret->size = (uint64_t) st.st_size;
        *mode &= st.st_mode; /* who may not read the input may not read the image */
        return 0;
}

/* The text in a UKI's .cmdline, without what ends it. */
static int read_cmdline(const struct kci_span *s, char **ret, struct kci_error *e) {
        _cleanup_free_ char *line = NULL;
        int r;

        if (s->size > 2 * KCI_PAGE)
                return kci_fail(e, KCI_ERROR_INPUT, "the section .cmdline is larger than 8 KiB");
        line = malloc((size_t) s->size + 1);
        if (!line)
                return kci_fail_errno(e, -ENOMEM, "the section .cmdline can not be read");
        r = kci_pread(s->fd, line, (size_t) s->size, s->offset, e);
        if (r < 0)
                return r;
        line[s->size] = 0;
        for (size_t n = strlen(line); n > 0 && strchr(" \t\r\n", line[n - 1]); n--)
                line[n - 1] = 0;
        *ret = TAKE_PTR(line);
        return 0;
}

static int open_uki(struct arguments *a, int *ret_fd, char **ret_cmdline, unsigned *mode) {
        struct kci_span whole = { .fd = -EBADF };
        struct kci_error e = {};
        struct kci_uki uki;
        int r;

        r = span_of_file(a->uki, &whole, mode);
        *ret_fd = whole.fd;
        if (r != 0)
                return r;
        r = kci_uki_parse(whole.fd, &uki, &e);
        if (r < 0)
                return image_error(a->uki, r, &e);
        a->input.kernel = uki.kernel;
        a->input.initrd = uki.initrd;
        if (uki.cmdline.fd >= 0) {
                if (a->append)
                        return usage_error("image", "the UKI has a command line of its own; --append can not be given");
                r = read_cmdline(&uki.cmdline, ret_cmdline, &e);
                if (r < 0)
                        return image_error(a->uki, r, &e);
                a->input.append = *ret_cmdline;
        }
        return 0;
}

static char *name_of_file(const char *path) {
        const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
        size_t n = strlen(base);

        if (n > 4 && streq(base + n - 4, ".kci"))
                n -= 4;
        return strndup(base, n);
}

static int describe(int fd, const struct kci_image *i, sd_json_variant **ret);
static void print_description(const char *path, sd_json_variant *v);

static int show(const char *path, int fd, const struct kci_image *i) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        int r;

        r = describe(fd, i, &v);
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "the image can not be described: %s", strerror(-r));
        if (context.json)
                print_json(v);
        else
                print_description(path, v);
        return EXIT_OK;
}

static int verb_build(struct arguments *a) {
        _cleanup_(kci_output_done) struct kci_output out = KCI_OUTPUT_INIT;
        _cleanup_close_ int kernel = -EBADF, initrd = -EBADF;
        _cleanup_free_ char *name = NULL, *cmdline = NULL;
        struct kci_progress p = progress("Writing");
        struct kci_input *in = &a->input;
        struct kci_error e = {};
        struct kci_image i;
        unsigned mode = 0666;
        int r;

        if (!a->output)
                return usage_error("image", "build needs the name of the image (--output)");
        if (!a->uki == !a->kernel || (a->uki && a->initrd))
                return usage_error("image", "build needs either --uki, or --kernel and perhaps --initrd");
        in->append = a->append;
        if (a->uki)
                r = open_uki(a, &kernel, &cmdline, &mode);
        else {
                r = span_of_file(a->kernel, &in->kernel, &mode);
                kernel = in->kernel.fd;
                if (r == 0 && a->initrd) {
                        r = span_of_file(a->initrd, &in->initrd, &mode);
                        initrd = in->initrd.fd;
                }
        }
        if (r != 0)
                return r;
        name = a->name ? strdup(a->name) : name_of_file(a->output);
        if (!name)
                return EXIT_FAILED;
        in->name = name;

        r = kci_output_open(&out, a->output, mode, &e);
        r = r < 0 ? r : kci_build(in, out.fd, &i, &p, &e);
        progress_done(&p);
        r = r < 0 ? r : kci_output_commit(&out, true, &e);
        return r < 0 ? image_error(a->output, r, &e) : show(a->output, out.fd, &i);
}

/* --- key --- */

static int write_pem(const char *path, unsigned mode, EVP_PKEY *key, bool private, char *passphrase, struct kci_error *e) {
        _cleanup_(kci_output_done) struct kci_output out = KCI_OUTPUT_INIT;
        BIO *bio = BIO_new(BIO_s_secmem());
        size_t size;
        char *data;
        int r;

        if (!bio)
                return kci_fail_errno(e, -ENOMEM, path);
        if (private)
                r = PEM_write_bio_PKCS8PrivateKey(
                                bio, key, passphrase ? EVP_aes_256_cbc() : NULL, passphrase,
                                passphrase ? (int) strlen(passphrase) : 0, NULL, NULL);
        else
                r = PEM_write_bio_PUBKEY(bio, key);
        size = (size_t) BIO_get_mem_data(bio, &data);
        if (r != 1)
                r = kci_fail(e, KCI_ERROR_CRYPTO, "the key can not be written");
        else {
                r = kci_output_open(&out, path, mode, e);
                r = r < 0 ? r : kci_pwrite(out.fd, data, size, 0, e);
        }
        OPENSSL_cleanse(data, size);
        BIO_free(bio);
        ERR_clear_error();
        if (r < 0)
                return r;
        secrets_end();
        r = kci_output_commit(&out, false, e);
        secrets_begin();
        return r;
}

static int verb_key(struct arguments *a) {
        _cleanup_free_ char *public_path = NULL;
        char passphrase[PASSPHRASE_MAX] = "";
        struct kci_error e = {};
        EVP_PKEY *key;
        int r;

        if (!a->output)
                return usage_error("image", "key needs the name of the file to make (--output)");
        if (asprintf(&public_path, "%s.pub", a->output) < 0) {
                public_path = NULL;
                return EXIT_FAILED;
        }
        secrets_begin();
        if (a->passphrase_file || a->encrypt) {
                r = a->passphrase_file ? passphrase_from_file(a->passphrase_file, passphrase, sizeof(passphrase)) :
                        passphrase_from_terminal(passphrase, sizeof(passphrase), true);
                if (r < 0) {
                        OPENSSL_cleanse(passphrase, sizeof(passphrase));
                        return report_error(EXIT_INVALID, "Passphrase", NULL, "there is no passphrase: %s", strerror(-r));
                }
        }
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        r = key ? 0 : kci_fail(&e, KCI_ERROR_CRYPTO, "a key can not be made");
        r = r < 0 ? r : write_pem(a->output, 0600, key, true, *passphrase ? passphrase : NULL, &e);
        r = r < 0 ? r : write_pem(public_path, 0644, key, false, NULL, &e);
        EVP_PKEY_free(key);
        OPENSSL_cleanse(passphrase, sizeof(passphrase));
        if (r < 0)
                return image_error(a->output, r, &e);
        if (context.json) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;

                if (sd_json_buildo(
                                    &v, SD_JSON_BUILD_PAIR_STRING("privateKey", a->output),
                                    SD_JSON_BUILD_PAIR_STRING("publicKey", public_path)) >= 0)
                        print_json(v);
        } else
                printf("Made %s, to be kept secret, and %s.\n", a->output, public_path);
        return EXIT_OK;
}

/* --- sign --- */

static int read_image(const char *path, int *ret_fd, struct kci_image *ret) {
        struct kci_error e = {};
        int r;

        r = open_input(path, ret_fd);
        if (r != 0)
                return r;
        r = kci_read(*ret_fd, ret, &e);
        return r < 0 ? image_error(path, r, &e) : 0;
}

static int verb_sign(struct arguments *a) {
        _cleanup_(kci_output_done) struct kci_output out = KCI_OUTPUT_INIT;
        const char *output = a->output ?: a->image;
        struct kci_progress p = progress("Measuring");
        _cleanup_close_ int in = -EBADF, key_fd = -EBADF;
        struct kci_error e = {};
        EVP_PKEY *key = NULL;
        struct kci_image i;
        struct stat st;
        int r;

        if (!a->key)
                return usage_error("image", "sign needs a private key (--key)");
        r = read_image(a->image, &in, &i);
        if (r == 0)
                r = open_input(a->key, &key_fd);
        if (r != 0)
                return r;
        if (fstat(in, &st) < 0)
                return open_error(a->image, -errno);
        secrets_begin();
        r = kci_key_read_private(key_fd, on_passphrase, a, &key, &e);
        if (r < 0)
                return image_error(a->key, r, &e);
        r = kci_output_open(&out, output, st.st_mode & 0666, &e);
        r = r < 0 ? r : kci_sign(in, &i, key, out.fd, &p, &e);
        EVP_PKEY_free(key);
        progress_done(&p);
        secrets_end();
        r = r < 0 ? r : kci_output_commit(&out, true, &e);
        return r < 0 ? image_error(a->image, r, &e) : show(output, out.fd, &i);
}

/* --- seal --- */

static const char *hex(char *buf, const uint8_t *data, size_t n) {
        for (size_t i = 0; i < n; i++)
                snprintf(buf + 2 * i, 3, "%02x", data[i]);
        return buf;
}

/* The sealing key of an identity whose chain is good. */
static int read_platform(const struct arguments *a, const char *path, uint8_t ret[static 32]) {
        const struct kcore_identity_claims *claims;
        struct kcore_attest_detail detail = {};
        struct kcore_identity *id = NULL;
        enum kcore_attest_error error;
        uint8_t data[KCORE_IDENTITY_MAX + 1];
        _cleanup_close_ int fd = -EBADF;
        char root[65], code[129];
        ssize_t n;
        int r;

        r = open_input(path, &fd);
        if (r != 0)
                return r;
        n = read(fd, data, sizeof(data));
        if (n < 0)
                return open_error(path, -errno);
        error = kcore_identity_parse(data, (size_t) n, &id, &detail);
        if (error == KCORE_ATTEST_OK)
                error = kcore_identity_verify(id, &detail);
        if (error != KCORE_ATTEST_OK) {
                kcore_identity_free(id);
                return report_error(
                                EXIT_INVALID, "Image.platform",
                                error == KCORE_ATTEST_NO_CHAIN ?
                                "Nobody vouches for a platform whose firmware hands no DICE chain over: nothing is sealed to it." : NULL,
                                "%s: %s%s%s", path, kcore_attest_strerror(error), *detail.where ? ": " : "", detail.where);
        }
        claims = kcore_identity_claims(id);
        hex(root, claims->root, sizeof(claims->root));
        if (a->has_root && memcmp(claims->root, a->root, sizeof(a->root)) != 0)
                r = report_error(EXIT_INVALID, "Image.platform", NULL, "%s: its chain begins with another root: %s", path, root);
        else if (!context.json)
                printf("%s: %s, code %.16s..., root %s%s\n", path, *claims->component ? claims->component : "KCore",
                       hex(code, claims->code_hash, sizeof(claims->code_hash)), root,
                       a->has_root ? "" : " (not compared: --root)");
        memcpy(ret, claims->sealing_key, 32);
        kcore_identity_free(id);
        return r;
}

static int verb_seal(struct arguments *a) {
        _cleanup_(kci_output_done) struct kci_output out = KCI_OUTPUT_INIT;
        struct kci_progress p = progress("Sealing");
        uint8_t keys[KCI_RECIPIENTS_MAX][32];
        _cleanup_close_ int in = -EBADF;
        struct kci_error e = {};
        struct kci_image i;
        int r;

        if (a->n_to == 0)
                return usage_error("image", "seal needs the identity of a platform (--to)");
        if (!a->output)
                return usage_error("image", "seal needs the name of the sealed image (--output)");
        r = read_image(a->image, &in, &i);
        for (size_t k = 0; r == 0 && k < a->n_to; k++)
                r = read_platform(a, a->to[k], keys[k]);
        if (r != 0)
                return r;
        secrets_begin();
        r = kci_output_open(&out, a->output, 0666, &e);
        r = r < 0 ? r : kci_seal(in, &i, (const uint8_t (*)[32]) keys, a->n_to, out.fd, &p, &e);
        progress_done(&p);
        secrets_end();
        r = r < 0 ? r : kci_output_commit(&out, true, &e);
        return r < 0 ? image_error(a->image, r, &e) : show(a->output, out.fd, &i);
}

/* --- inspect --- */

/* What the device tree of a plain image tells the kernel. NULL if it can not be told. */
static char *command_line(int fd, const struct kci_image *i) {
        _cleanup_free_ uint8_t *dtb = NULL;
        const char *line;
        int node, size;

        for (size_t k = 0; k < i->n_segments; k++) {
                const struct kci_segment *s = &i->segments[k];

                if (s->kind != KCI_DTB || s->length > GUEST_BLOCK_SIZE)
                        continue;
                dtb = malloc((size_t) s->length);
                if (!dtb || kci_pread(fd, dtb, (size_t) s->length, s->offset, NULL) < 0 || fdt_check_full(dtb, (size_t) s->length) != 0)
                        return NULL;
                node = fdt_path_offset(dtb, "/chosen");
                line = node < 0 ? NULL : fdt_getprop(dtb, node, "bootargs", &size);
                if (!line || size < 1 || size > (int) KCI_PAGE || line[size - 1] != 0)
                        return NULL;
                for (const char *p = line; *p; p++)
                        if ((unsigned char) *p < ' ' || (unsigned char) *p > '~')
                                return NULL;
                return strdup(line);
        }
        return NULL;
}

static int describe_segments(const struct kci_image *i, sd_json_variant **ret) {
        int r = 0;

        for (size_t k = 0; r >= 0 && k < i->n_segments; k++) {
                const struct kci_segment *s = &i->segments[k];
                char digest[65];

                r = sd_json_variant_append_arraybo(
                                ret,
                                SD_JSON_BUILD_PAIR_STRING("kind", kci_kind_to_string(s->kind)),
                                SD_JSON_BUILD_PAIR_UNSIGNED("ipa", s->ipa),
                                SD_JSON_BUILD_PAIR_UNSIGNED("length", s->length),
                                SD_JSON_BUILD_PAIR_UNSIGNED("offset", s->offset),
                                SD_JSON_BUILD_PAIR_STRING("sha256", hex(digest, s->digest, sizeof(s->digest))));
        }
        return r;
}

static int describe_policy(const struct kci_policy *p, sd_json_variant **ret) {
        char version[32];

        snprintf(version, sizeof(version), "%" PRIu64 ".%" PRIu64, p->min_version >> 16, p->min_version & 0xffff);
        return sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_BOOLEAN("debug", p->flags & KCI_POLICY_DEBUG),
                        SD_JSON_BUILD_PAIR_BOOLEAN("snapshots", p->flags & KCI_POLICY_SNAPSHOT),
                        SD_JSON_BUILD_PAIR_UNSIGNED("maximumVcpus", p->max_vcpus),
                        SD_JSON_BUILD_PAIR_UNSIGNED("maximumPrivatePages", p->max_private),
                        SD_JSON_BUILD_PAIR_UNSIGNED("maximumSharedPages", p->max_shared),
                        SD_JSON_BUILD_PAIR_STRING("minimumVersion", version));
}

static int describe(int fd, const struct kci_image *i, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *segments = NULL, *policy = NULL, *recipients = NULL;
        _cleanup_free_ char *line = kci_is_sealed(i) ? NULL : command_line(fd, i);
        char id[65], signer[65], digest_hex[65], rim[129];
        uint8_t digest[32];
        int r;

        if (EVP_Digest(i->signer, sizeof(i->signer), digest, NULL, EVP_sha256(), NULL) != 1)
                return -EIO;
        r = describe_segments(i, &segments);
        r = r < 0 ? r : describe_policy(&i->policy, &policy);
        for (size_t k = 0; r >= 0 && k < i->n_recipients; k++)
                r = sd_json_variant_append_arrayb(&recipients, SD_JSON_BUILD_STRING(hex(id, i->recipients[k].key, 32)));
        if (r < 0)
                return r;
        return sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_STRING("name", i->name),
                        SD_JSON_BUILD_PAIR_STRING("imageId", hex(id, i->id, sizeof(i->id))),
                        SD_JSON_BUILD_PAIR_UNSIGNED("size", i->size),
                        SD_JSON_BUILD_PAIR_UNSIGNED("vcpus", i->vcpus),
                        SD_JSON_BUILD_PAIR_UNSIGNED("memory", i->memory),
                        SD_JSON_BUILD_PAIR_UNSIGNED("ipaBits", i->s2sz),
                        SD_JSON_BUILD_PAIR_STRING("hash", i->hash_algo == KCORE_MEASURE_SHA512 ? "sha512" : "sha256"),
                        SD_JSON_BUILD_PAIR_UNSIGNED("entry", i->entry),
                        SD_JSON_BUILD_PAIR_UNSIGNED("x0", i->x0),
                        SD_JSON_BUILD_PAIR_CONDITION(!!line, "commandLine", SD_JSON_BUILD_STRING(line)),
                        SD_JSON_BUILD_PAIR_VARIANT("policy", policy),
                        SD_JSON_BUILD_PAIR_VARIANT("segments", segments),
                        SD_JSON_BUILD_PAIR_BOOLEAN("signed", i->is_signed),
                        SD_JSON_BUILD_PAIR_CONDITION(
                                        i->is_signed, "signer", SD_JSON_BUILD_STRING(hex(signer, i->signer, sizeof(i->signer)))),
                        SD_JSON_BUILD_PAIR_CONDITION(
                                        i->is_signed, "signerDigest", SD_JSON_BUILD_STRING(hex(digest_hex, digest, sizeof(digest)))),
                        SD_JSON_BUILD_PAIR_CONDITION(
                                        i->is_signed, "measurement",
                                        SD_JSON_BUILD_STRING(hex(rim, i->rim, i->hash_algo == KCORE_MEASURE_SHA512 ? 64 : 32))),
                        SD_JSON_BUILD_PAIR_BOOLEAN("sealed", kci_is_sealed(i)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!recipients, "recipients", SD_JSON_BUILD_VARIANT(recipients)));
}

static void print_description(const char *path, sd_json_variant *v) {
        sd_json_variant *policy = sd_json_variant_by_key(v, "policy"), *segments = sd_json_variant_by_key(v, "segments"),
                        *recipients = sd_json_variant_by_key(v, "recipients");
        char size[32];

        printf("%s%s%s  %s, %s, %s\n", color(stdout, ANSI_BOLD), path, color(stdout, ANSI_NORMAL),
               format_size(size, field_unsigned(v, "size")), field_boolean(v, "signed") ? "signed" : "not signed",
               field_boolean(v, "sealed") ? "sealed" : "plain");
        printf("├ name          %s\n", field_string(v, "name"));
        printf("├ image id      %s\n", field_string(v, "imageId"));
        printf("├ guest         %s of memory, %" PRIu64 " vCPU%s, IPA of %" PRIu64 " bits\n",
               format_size(size, field_unsigned(v, "memory")), field_unsigned(v, "vcpus"),
               field_unsigned(v, "vcpus") == 1 ? "" : "s", field_unsigned(v, "ipaBits"));
        printf("├ entry         0x%" PRIx64 ", x0 0x%" PRIx64 "\n", field_unsigned(v, "entry"), field_unsigned(v, "x0"));
        if (*field_string(v, "commandLine"))
                printf("├ command line  %s\n", field_string(v, "commandLine"));
        printf("├ policy\n");
        printf("│ ├ vCPUs       at most %" PRIu64 "\n", field_unsigned(policy, "maximumVcpus"));
        printf("│ ├ private     at most %s\n", format_size(size, field_unsigned(policy, "maximumPrivatePages") * KCI_PAGE));
        printf("│ ├ shared      at most %s\n", format_size(size, field_unsigned(policy, "maximumSharedPages") * KCI_PAGE));
        printf("│ ├ KCore       at least %s\n", field_string(policy, "minimumVersion"));
        printf("│ ├ debugging   %s\n", field_boolean(policy, "debug") ? "allowed" : "forbidden");
        printf("│ └ snapshots   %s\n", field_boolean(policy, "snapshots") ? "allowed" : "forbidden");
        printf("├ segments\n");
        for (size_t k = 0, n = sd_json_variant_elements(segments); k < n; k++) {
                sd_json_variant *s = sd_json_variant_by_index(segments, k);

                printf("│ %s %-11s 0x%" PRIx64 ", %" PRIu64 " bytes\n", k + 1 < n ? "├" : "└", field_string(s, "kind"),
                       field_unsigned(s, "ipa"), field_unsigned(s, "length"));
                printf("│ %s   sha256    %s\n", k + 1 < n ? "│" : " ", field_string(s, "sha256"));
        }
        if (field_boolean(v, "signed")) {
                printf("├ signer        %s\n", field_string(v, "signer"));
                printf("│   sha256      %s\n", field_string(v, "signerDigest"));
                printf("%s measurement   %s\n", recipients ? "├" : "└", field_string(v, "measurement"));
        } else
                printf("└ signer        none\n");
        if (recipients) {
                printf("└ sealed to\n");
                for (size_t k = 0, n = sd_json_variant_elements(recipients); k < n; k++)
                        printf("  %s %s\n", k + 1 < n ? "├" : "└", sd_json_variant_string(sd_json_variant_by_index(recipients, k)));
        }
}

static int verb_inspect(struct arguments *a) {
        _cleanup_close_ int fd = -EBADF;
        struct kci_image i;
        int r;

        r = read_image(a->image, &fd, &i);
        return r != 0 ? r : show(a->image, fd, &i);
}

/* --- verify --- */

/* Appends the verdict of one check. Returns < 0 if it failed. */
static int check_result(sd_json_variant **checks, const char *check, const char *title, int result, const struct kci_error *e, const char *skipped) {
        const char *status = skipped ? "skip" : result < 0 ? "fail" : "ok", *message = skipped ?: result < 0 ? e->message : NULL;

        (void) sd_json_variant_append_arraybo(
                        checks,
                        SD_JSON_BUILD_PAIR_STRING("check", check),
                        SD_JSON_BUILD_PAIR_STRING("status", status),
                        SD_JSON_BUILD_PAIR_CONDITION(result < 0 && !skipped, "error", SD_JSON_BUILD_STRING(kci_code_to_string(e->code))),
                        SD_JSON_BUILD_PAIR_CONDITION(!!message, "message", SD_JSON_BUILD_STRING(message)));
        if (!context.json)
                printf("%s%s%s %s%s%s\n",
                       color(stdout, skipped ? ANSI_GREY : result < 0 ? ANSI_RED : ANSI_GREEN),
                       skipped ? "-" : result < 0 ? "✘" : "✔", color(stdout, ANSI_NORMAL), title, message ? ": " : "", strempty(message));
        return skipped ? 0 : result;
}

static int check_signer(const struct arguments *a, const struct kci_image *i, struct kci_error *e) {
        _cleanup_close_ int fd = -EBADF;
        uint8_t expected[32];
        int r;

        fd = open(a->signer, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return kci_fail_errno(e, -errno, a->signer);
        r = kci_key_read_public(fd, expected, e);
        if (r < 0)
                return r;
        return memcmp(expected, i->signer, sizeof(expected)) == 0 ? 0 : kci_fail(e, KCI_ERROR_SIGNATURE, "it was signed by another key");
}

static int check_data(int fd, const struct kci_image *i, struct kci_error *e) {
        struct kci_progress p = progress("Measuring");
        uint8_t rim[64];
        int r;

        if (kci_is_sealed(i))
                return kci_check_sealed(fd, i, e);
        r = kci_measure(fd, i, &p, rim, e);
        progress_done(&p);
        if (r >= 0 && i->is_signed && memcmp(rim, i->rim, sizeof(rim)) != 0)
                r = kci_fail(e, KCI_ERROR_MEASUREMENT, "the image does not have the measurement that was signed");
        return r;
}

static int verb_image_verify(struct arguments *a) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *checks = NULL, *v = NULL;
        struct kci_error e = {};
        _cleanup_close_ int fd = -EBADF;
        struct kci_image i;
        bool ok = true;
        int r;

        r = read_image(a->image, &fd, &i); /* a header that is wrong is told as that */
        if (r != 0)
                return r;
        ok &= check_result(&checks, "header", "header", 0, &e, NULL) >= 0;
        ok &= check_result(&checks, "signature", "signatures of manifest and launch block", kci_check_signature(&i, &e), &e, NULL) >= 0;
        if (a->signer)
                ok &= check_result(
                                &checks, "signer", "signer", i.is_signed ? check_signer(a, &i, &e) : kci_fail(&e, KCI_ERROR_STATE, "nobody signed it"),
                                &e, NULL) >= 0;
        else
                (void) check_result(&checks, "signer", "signer", 0, &e, "not compared with anybody (--signer)");
        r = check_data(fd, &i, &e);
        if (kci_is_sealed(&i)) {
                ok &= check_result(&checks, "filling", "sealed segments are whole", r, &e, NULL) >= 0;
                (void) check_result(&checks, "data", "digests and measurement", 0, &e, "sealed: only the platform can check them");
        } else
                ok &= check_result(&checks, "data", "digests and measurement", r, &e, NULL) >= 0;
        if (context.json) {
                r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_BOOLEAN("valid", ok), SD_JSON_BUILD_PAIR_VARIANT("checks", checks));
                if (r >= 0)
                        print_json(v);
        }
        return ok ? EXIT_OK : EXIT_INVALID;
}

/* --- the command line --- */

static int parse_id(const char *s, uint8_t ret[static 32]) {
        if (strlen(s) != 64 || strspn(s, "0123456789abcdefABCDEF") != 64)
                return -EINVAL;
        for (size_t i = 0; i < 32; i++) {
                const char byte[3] = { s[2 * i], s[2 * i + 1] };

                ret[i] = (uint8_t) strtoul(byte, NULL, 16);
        }
        return 0;
}

static int parse_version(const char *s, uint64_t *ret) {
        _cleanup_free_ char *major = NULL;
        const char *dot = strchr(s, '.');
        uint64_t a, b;

        major = strndup(s, dot ? (size_t) (dot - s) : 0);
        if (!dot || !major || parse_unsigned(major, 0xffff, &a) < 0 || parse_unsigned(dot + 1, 0xffff, &b) < 0)
                return -EINVAL;
        *ret = a << 16 | b;
        return 0;
}

enum {
        OPT_NAME = 256, OPT_EARLY, OPT_HASH, OPT_SHARED, OPT_VERSION, OPT_DEBUG, OPT_SNAPSHOTS, OPT_ID,
        OPT_KEY, OPT_ENCRYPT, OPT_PASSPHRASE, OPT_SIGNER, OPT_TO, OPT_ROOT,
};

/* Which verbs know an option: letters as in subverbs[]. */
static const struct {
        int option;
        const char *verbs;
} allowed[] = {
        { 'o', "bkse" }, { 'u', "b" }, { 'k', "b" }, { 'i', "b" }, { 'a', "b" }, { 'm', "b" }, { 'c', "b" },
        { OPT_NAME, "b" }, { OPT_EARLY, "b" }, { OPT_HASH, "b" }, { OPT_SHARED, "b" }, { OPT_VERSION, "b" },
        { OPT_DEBUG, "b" }, { OPT_SNAPSHOTS, "b" }, { OPT_ID, "b" }, { OPT_KEY, "s" }, { OPT_ENCRYPT, "k" },
        { OPT_PASSPHRASE, "ks" }, { OPT_SIGNER, "v" }, { OPT_TO, "e" }, { OPT_ROOT, "e" },
};

static const struct subverb {
        const char *name;
        char letter;
        bool has_image;
        int (*run)(struct arguments *a);
} subverbs[] = {
        { "build",   'b', false, verb_build   },
        { "key",     'k', false, verb_key     },
        { "sign",    's', true,  verb_sign    },
        { "seal",    'e', true,  verb_seal    },
        { "inspect", 'i', true,  verb_inspect },
        { "verify",  'v', true,  verb_image_verify  },
};

/* Returns < 0 to go on, or an exit code. */
static int parse_build_option(int c, struct arguments *a) {
        struct kci_input *in = &a->input;
        uint64_t n;

        switch (c) {
        case 'm':
                if (parse_size(optarg, &in->memory) < 0)
                        return usage_error("image", "--memory takes a size, as 512M or 2G");
                break;
        case 'c':
                if (parse_unsigned(optarg, UINT32_MAX, &n) < 0)
                        return usage_error("image", "--vcpus takes a number");
                in->vcpus = (uint32_t) n;
                break;
        case OPT_HASH:
                if (!streq(optarg, "sha256") && !streq(optarg, "sha512"))
                        return usage_error("image", "--hash takes sha256 or sha512");
                in->hash_algo = streq(optarg, "sha512") ? KCORE_MEASURE_SHA512 : KCORE_MEASURE_SHA256;
                break;
        case OPT_SHARED:
                if (parse_size(optarg, &n) < 0 || n == 0 || n % KCI_PAGE != 0)
                        return usage_error("image", "--max-shared takes a size in pages of 4K, as 64M");
                in->policy.max_shared = n / KCI_PAGE;
                break;
        case OPT_VERSION:
                if (parse_version(optarg, &in->policy.min_version) < 0)
                        return usage_error("image", "--min-version takes a version, as 1.0");
                break;
        case OPT_ID:
                if (parse_id(optarg, a->id) < 0)
                        return usage_error("image", "--image-id takes 64 hexadecimal digits");
                in->id = a->id;
                break;
        }
        return -1;
}

static int parse_options(int argc, char **argv, const struct subverb *v, struct arguments *a) {
        static const struct option options[] = {
                { "output", required_argument, NULL, 'o' },
                { "uki", required_argument, NULL, 'u' },
                { "kernel", required_argument, NULL, 'k' },
                { "initrd", required_argument, NULL, 'i' },
                { "append", required_argument, NULL, 'a' },
                { "memory", required_argument, NULL, 'm' },
                { "vcpus", required_argument, NULL, 'c' },
                { "name", required_argument, NULL, OPT_NAME },
                { "early-console", no_argument, NULL, OPT_EARLY },
                { "hash", required_argument, NULL, OPT_HASH },
                { "max-shared", required_argument, NULL, OPT_SHARED },
                { "min-version", required_argument, NULL, OPT_VERSION },
                { "allow-debug", no_argument, NULL, OPT_DEBUG },
                { "allow-snapshots", no_argument, NULL, OPT_SNAPSHOTS },
                { "image-id", required_argument, NULL, OPT_ID },
                { "key", required_argument, NULL, OPT_KEY },
                { "encrypt", no_argument, NULL, OPT_ENCRYPT },
                { "passphrase-file", required_argument, NULL, OPT_PASSPHRASE },
                { "signer", required_argument, NULL, OPT_SIGNER },
                { "to", required_argument, NULL, OPT_TO },
                { "root", required_argument, NULL, OPT_ROOT },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        int c, r;

        while ((c = getopt_long(argc, argv, "o:u:k:i:a:m:c:jh", options, NULL)) >= 0) {
                for (size_t i = 0; i < ELEMENTSOF(allowed); i++)
                        if (allowed[i].option == c && !strchr(allowed[i].verbs, v->letter))
                                return usage_error("image", "image %s does not have that option", v->name);
                switch (c) {
                case 'o': a->output = optarg; break;
                case 'u': a->uki = optarg; break;
                case 'k': a->kernel = optarg; break;
                case 'i': a->initrd = optarg; break;
                case 'a': a->append = optarg; break;
                case OPT_NAME: a->name = optarg; break;
                case OPT_EARLY: a->input.earlycon = true; break;
                case OPT_DEBUG: a->input.policy.flags |= KCI_POLICY_DEBUG; break;
                case OPT_SNAPSHOTS: a->input.policy.flags |= KCI_POLICY_SNAPSHOT; break;
                case OPT_KEY: a->key = optarg; break;
                case OPT_ENCRYPT: a->encrypt = true; break;
                case OPT_PASSPHRASE: a->passphrase_file = optarg; break;
                case OPT_SIGNER: a->signer = optarg; break;
                case OPT_TO:
                        if (a->n_to >= ELEMENTSOF(a->to))
                                return usage_error("image", "an image is sealed to at most %d platforms", KCI_RECIPIENTS_MAX);
                        a->to[a->n_to++] = optarg;
                        break;
                case OPT_ROOT:
                        if (parse_id(optarg, a->root) < 0)
                                return usage_error("image", "--root takes 64 hexadecimal digits");
                        a->has_root = true;
                        break;
                case 'j': context.json = true; break;
                case 'h':
                        fputs(usage, stdout);
                        return EXIT_OK;
                case '?':
                        return usage_error("image", "wrong option");
                default:
                        r = parse_build_option(c, a);
                        if (r >= 0)
                                return r;
                }
        }
        if (v->has_image) {
                if (optind >= argc)
                        return usage_error("image", "image %s needs an image", v->name);
                a->image = argv[optind++];
        }
        return optind < argc ? usage_error("image", "unexpected argument \"%s\"", argv[optind]) : -1;
}

int verb_image(int argc, char **argv) {
        struct arguments a = {
                .input = {
                        .kernel.fd = -EBADF,
                        .initrd.fd = -EBADF,
                        .memory = GUEST_MEMORY_DEFAULT,
                        .vcpus = GUEST_VCPUS_DEFAULT,
                        .hash_algo = KCORE_MEASURE_SHA256,
                        .policy.min_version = MIN_VERSION_DEFAULT,
                },
        };
        int r;

        if (argc >= 2 && (streq(argv[1], "--help") || streq(argv[1], "-h"))) {
                fputs(usage, stdout);
                return EXIT_OK;
        }
        for (size_t i = 0; argc >= 2 && i < ELEMENTSOF(subverbs); i++)
                if (streq(subverbs[i].name, argv[1])) {
                        optind = 0;
                        r = parse_options(argc - 1, argv + 1, &subverbs[i], &a);
                        return r >= 0 ? r : subverbs[i].run(&a);
                }
        return argc < 2 ? usage_error("image", "image needs a verb: build, key, sign, seal, inspect or verify") :
                usage_error("image", "there is no verb \"image %s\"", argv[1]);
}
