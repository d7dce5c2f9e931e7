/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../image/kci.h"
#include "../kvm-patches/uapi/kcore.h"
#include "../libkcore/guest-config.h"
#include "verify.h"

static const char usage[] =
        "usage: kcorectl measure IMAGE.kci [OPTION...]\n"
        "       kcorectl measure --kernel IMAGE [--initrd FILE] [--append LINE] [OPTION...]\n"
        "\n"
        "Computes what a guest's token must say, offline and on any machine: reference\n"
        "values for \"kcorectl verify\" and \"kcorectl attest\".\n"
        "\n"
        "  -o, --output FILE          write the reference values there\n"
        "  -k, --kernel IMAGE         arm64 Linux Image, as for \"kcorectl launch\"\n"
        "  -i, --initrd FILE          its initrd\n"
        "  -a, --append LINE          the kernel's command line\n"
        "  -m, --memory SIZE          private memory, as 512M or 2G (default 512M)\n"
        "  -c, --vcpus N              virtual CPUs (default 1)\n"
        "      --early-console        as given to \"kcorectl launch\"\n"
        "      --hash ALGORITHM       of the measurement: sha256 (default) or sha512\n"
        "  -p, --platform FILE        take root, instance and software from an identity\n"
        "                             document (.kplat) that you trust\n"
        "      --kcore FILE           measure this kcore.bin as the platform's software\n"
        "  -j, --json                 print the reference values\n"
        "\n"
        "What is not known here is left out, and a claim without a reference value is\n"
        "rejected.\n";

struct arguments {
        const char *image, *output, *kernel, *initrd, *platform, *kcore;
        struct kci_input input;
        bool explicit; /* an option that only goes with --kernel */
};

/* --- the guest --- */

static int measure_error(const char *path, const struct kci_error *e) {
        char id[32];

        snprintf(id, sizeof(id), "Image.%s", kci_code_to_string(e->code));
        return report_error(EXIT_INVALID, id, NULL, "%s: %s", path, e->message);
}

static int open_span(const char *path, struct kci_span *ret) {
        struct stat st;

        ret->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (ret->fd < 0 || fstat(ret->fd, &st) < 0)
                return report_error(
                                errno == EACCES || errno == EPERM ? EXIT_PERMISSION : EXIT_INVALID, "File", NULL,
                                "%s: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode) || st.st_size <= 0)
                return report_error(EXIT_INVALID, "File", NULL, "%s: not a regular file with something in it", path);
        ret->offset = 0;
        ret->size = (uint64_t) st.st_size;
        return 0;
}

/* Kernel and initrd become an image that nobody sees: what is measured is laid out once only. */
static int build_image(struct arguments *a, int *ret_fd, struct kci_image *ret) {
        _cleanup_close_ int kernel = -EBADF, initrd = -EBADF, fd = -EBADF;
        struct kci_error e = {};
        int r;

        r = open_span(a->kernel, &a->input.kernel);
        kernel = a->input.kernel.fd;
        if (r == 0 && a->initrd) {
                r = open_span(a->initrd, &a->input.initrd);
                initrd = a->input.initrd.fd;
        }
        if (r != 0)
                return r;
        fd = memfd_create("kcore-image", MFD_CLOEXEC);
        if (fd < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "memory for the image: %s", strerror(errno));
        a->input.name = "measure";
        r = kci_build(&a->input, fd, ret, NULL, &e);
        if (r < 0)
                return measure_error(a->kernel, &e);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int open_image(const struct arguments *a, int *ret_fd, struct kci_image *ret) {
        _cleanup_close_ int fd = -EBADF;
        struct kci_error e = {};
        int r;

        fd = open(a->image, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return report_error(
                                errno == EACCES || errno == EPERM ? EXIT_PERMISSION : EXIT_INVALID, "File", NULL,
                                "%s: %s", a->image, strerror(errno));
        r = kci_read(fd, ret, &e);
        if (r >= 0 && ret->is_signed)
                r = kci_check_signature(ret, &e);
        if (r < 0)
                return measure_error(a->image, &e);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Of a sealed image the measurement is what its tenant signed: only the platform sees what is in it. */
static int measure(const char *path, int fd, const struct kci_image *i, uint8_t rim[static 64]) {
        struct kci_error e = {};

        if (kci_is_sealed(i)) {
                memcpy(rim, i->rim, 64);
                return 0;
        }
        if (kci_measure(fd, i, NULL, rim, &e) < 0)
                return measure_error(path, &e);
        if (i->is_signed && memcmp(rim, i->rim, 64) != 0) {
                (void) kci_fail(&e, KCI_ERROR_MEASUREMENT, "the image does not have the measurement that was signed");
                return measure_error(path, &e);
        }
        return 0;
}

/* --- reference values --- */

static char *hex(const void *data, size_t size) {
        char *s = malloc(2 * size + 1);

        if (!s)
                return NULL;
        s[0] = 0;
        for (size_t i = 0; i < size; i++)
                snprintf(s + 2 * i, 3, "%02x", ((const uint8_t *) data)[i]);
        return s;
}

static int set_hex(sd_json_variant **v, const char *field, const void *data, size_t size) {
        _cleanup_free_ char *s = hex(data, size);

        return s ? sd_json_variant_set_field_string(v, field, s) : -ENOMEM;
}

static int policy_to_json(const struct kci_image *i, sd_json_variant **ret) {
        int r;

        r = sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_BOOLEAN("debug", (i->policy.flags & KCI_POLICY_DEBUG) != 0),
                        SD_JSON_BUILD_PAIR_BOOLEAN("snapshots", (i->policy.flags & KCI_POLICY_SNAPSHOT) != 0),
                        SD_JSON_BUILD_PAIR_UNSIGNED("maxVcpus", i->policy.max_vcpus),
                        SD_JSON_BUILD_PAIR_UNSIGNED("maxPrivateGranules", i->policy.max_private),
                        SD_JSON_BUILD_PAIR_UNSIGNED("maxSharedGranules", i->policy.max_shared),
                        SD_JSON_BUILD_PAIR_UNSIGNED("minVersion", i->policy.min_version));
        return r < 0 ? r : set_hex(ret, "imageId", i->id, sizeof(i->id));
}

static int realm_to_json(const struct kci_image *i, const uint8_t rim[static 64], sd_json_variant **ret) {
        static const uint8_t zero[64];
        bool sha512 = i->hash_algo == KCORE_HASH_SHA512;
        size_t size = sha512 ? 64 : 32;
        _cleanup_free_ char *rem = hex(zero, size);
        uint8_t signer[32];
        int r;

        if (!rem)
                return -ENOMEM;
        /* kcoresd gives no personalization value, and a guest that extends no measurement leaves zeroes. */
        r = sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_STRING("profile", KCORE_PROFILE_REALM),
                        SD_JSON_BUILD_PAIR_STRING("hashAlgorithm", sha512 ? "sha-512" : "sha-256"),
                        SD_JSON_BUILD_PAIR("extensibleMeasurements", SD_JSON_BUILD_ARRAY(
                                SD_JSON_BUILD_STRING(rem), SD_JSON_BUILD_STRING(rem), SD_JSON_BUILD_STRING(rem),
                                SD_JSON_BUILD_STRING(rem))));
        r = r < 0 ? r : set_hex(ret, "personalizationValue", zero, 64);
        r = r < 0 ? r : set_hex(ret, "initialMeasurement", rim, size);
        if (r >= 0 && i->is_signed) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *policy = NULL;

                r = policy_to_json(i, &policy);
                r = r < 0 ? r : sd_json_variant_set_field(ret, "policy", policy);
                if (r >= 0 && EVP_Digest(i->signer, sizeof(i->signer), signer, NULL, EVP_sha256(), NULL) != 1)
                        r = -ENOMEM;
                r = r < 0 ? r : set_hex(ret, "policySigner", signer, sizeof(signer));
        }
        return r;
}

/* What of the platform is known: its identity, its software, both or neither. */
struct platform {
        bool has_identity, has_code;
        uint8_t root[32], instance[33];
        uint8_t code[64];
};

static int platform_to_json(const struct platform *p, sd_json_variant **ret) {
        static const uint8_t features[8] = { 1 }; /* devices are confined by an SMMU */
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *component = NULL, *components = NULL;
        int r;

        r = sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_STRING("profile", KCORE_PROFILE_PLATFORM),
                        SD_JSON_BUILD_PAIR_STRING("lifecycle", "secured"));
        r = r < 0 ? r : set_hex(ret, "implementationId", kcore_implementation_id(), 32);
        r = r < 0 ? r : set_hex(ret, "configuration", features, sizeof(features));
        if (r < 0 || (!p->has_identity && !p->has_code))
                return r;

        /* The measurement says which version it is. */
        r = sd_json_buildo(
                        &component,
                        SD_JSON_BUILD_PAIR_STRING("type", "KCore"),
                        SD_JSON_BUILD_PAIR("version", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_BOOLEAN("any", true))));
        r = r < 0 ? r : set_hex(&component, "measurement", p->code, sizeof(p->code));
        if (r >= 0 && p->has_identity) {
                r = set_hex(&component, "signerId", p->root, sizeof(p->root));
                r = r < 0 ? r : set_hex(ret, "identityRoot", p->root, sizeof(p->root));
                r = r < 0 ? r : set_hex(ret, "instanceId", p->instance, sizeof(p->instance));
        }
        r = r < 0 ? r : sd_json_variant_append_array(&components, component);
        return r < 0 ? r : sd_json_variant_set_field(ret, "softwareComponents", components);
}

static int read_platform(const char *path, struct platform *p) {
        uint8_t data[KCORE_IDENTITY_MAX + 1];
        struct kcore_attest_detail d = {};
        struct kcore_identity *id = NULL;
        const struct kcore_identity_claims *c;
        _cleanup_fclose_ FILE *f = NULL;
        enum kcore_attest_error e;
        size_t n;

        f = fopen(path, "re");
        n = f ? fread(data, 1, sizeof(data), f) : 0;
        if (!f || ferror(f))
                return report_error(EXIT_INVALID, "File", NULL, "%s: %s", path, strerror(errno));
        e = kcore_identity_parse(data, n, &id, &d);
        if (e == KCORE_ATTEST_OK)
                e = kcore_identity_verify(id, &d);
        if (e == KCORE_ATTEST_OK) {
                c = kcore_identity_claims(id);
                memcpy(p->root, c->root, sizeof(p->root));
                memcpy(p->code, c->code_hash, sizeof(p->code));
                p->instance[0] = 1;
                e = kcore_key_thumbprint(kcore_identity_platform_key(id), p->instance + 1);
                p->has_identity = p->has_code = true;
        }
        kcore_identity_free(id);
        return e == KCORE_ATTEST_OK ?
                0 :
                report_error(EXIT_INVALID, kcore_attest_error_name(e), NULL, "%s: %s: %s", path, d.where, kcore_attest_strerror(e));
}

static int read_kcore(const char *path, struct platform *p) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        uint8_t buf[4096], code[64];
        bool ok;
        size_t n;

        ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) == 1;
        while (ok && f && (n = fread(buf, 1, sizeof(buf), f)) > 0)
                ok = EVP_DigestUpdate(ctx, buf, n) == 1;
        ok = ok && EVP_DigestFinal_ex(ctx, code, NULL) == 1;
        EVP_MD_CTX_free(ctx);
        if (!f || ferror(f))
                return report_error(EXIT_INVALID, "File", NULL, "%s: %s", path, strerror(errno));
        if (!ok)
                return report_error(EXIT_FAILED, "Error", NULL, "SHA-512 is not available");
        if (p->has_identity && memcmp(p->code, code, sizeof(code)) != 0)
                return report_error(EXIT_INVALID, "Mismatch", NULL, "%s: the platform runs another KCore", path);
        memcpy(p->code, code, sizeof(code));
        p->has_code = true;
        return 0;
}

/* --- output --- */

static void print_summary(sd_json_variant *v, const char *what) {
        sd_json_variant *realm = sd_json_variant_by_key(v, "realm"), *platform = sd_json_variant_by_key(v, "platform");

        print_safe(stdout, what);
        printf("\n├ hash                %s\n", field_string(realm, "hashAlgorithm"));
        printf("├ initial measurement %s\n", field_string(realm, "initialMeasurement"));
        printf("├ policy signer       %s\n", *field_string(realm, "policySigner") ? field_string(realm, "policySigner") : "none");
        printf("├ platform root       %s\n",
               *field_string(platform, "identityRoot") ? field_string(platform, "identityRoot") : "not known (--platform)");
        printf("└ KCore               %s\n",
               sd_json_variant_by_key(platform, "softwareComponents") ?
                       field_string(sd_json_variant_by_index(sd_json_variant_by_key(platform, "softwareComponents"), 0), "measurement") :
                       "not known (--platform or --kcore)");
}

static int output(const struct arguments *a, sd_json_variant *v) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (a->output) {
                r = sd_json_variant_format(v, SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE, &text);
                r = r < 0 ? r : write_file_atomic(a->output, text, 0644);
                if (r < 0)
                        return report_error(EXIT_FAILED, "File", NULL, "%s: %s", a->output, strerror(-r));
        }
        if (context.json)
                print_json(v);
        else
                print_summary(v, a->image ?: a->kernel);
        return EXIT_OK;
}

static int run(struct arguments *a) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *realm = NULL, *platform = NULL, *v = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct platform p = {};
        struct kci_image i;
        uint8_t rim[64];
        int r = 0;

        if (a->platform)
                r = read_platform(a->platform, &p);
        if (r == 0 && a->kcore)
                r = read_kcore(a->kcore, &p);
        if (r == 0)
                r = a->image ? open_image(a, &fd, &i) : build_image(a, &fd, &i);
        if (r == 0)
                r = measure(a->image ?: a->kernel, fd, &i, rim);
        if (r != 0)
                return r;

        r = realm_to_json(&i, rim, &realm);
        r = r < 0 ? r : platform_to_json(&p, &platform);
        r = r < 0 ? r : sd_json_buildo(
                                &v,
                                SD_JSON_BUILD_PAIR_UNSIGNED("version", 1),
                                SD_JSON_BUILD_PAIR_VARIANT("platform", platform),
                                SD_JSON_BUILD_PAIR_VARIANT("realm", realm));
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "the reference values can not be made: %s", strerror(-r));
        return output(a, v);
}

int verb_measure(int argc, char **argv) {
        enum { OPT_EARLY = 256, OPT_HASH, OPT_KCORE };
        static const struct option options[] = {
                { "output", required_argument, NULL, 'o' },
                { "kernel", required_argument, NULL, 'k' },
                { "initrd", required_argument, NULL, 'i' },
                { "append", required_argument, NULL, 'a' },
                { "memory", required_argument, NULL, 'm' },
                { "vcpus", required_argument, NULL, 'c' },
                { "early-console", no_argument, NULL, OPT_EARLY },
                { "hash", required_argument, NULL, OPT_HASH },
                { "platform", required_argument, NULL, 'p' },
                { "kcore", required_argument, NULL, OPT_KCORE },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        struct arguments a = {
                .input = {
                        .kernel.fd = -EBADF,
                        .initrd.fd = -EBADF,
                        .vcpus = GUEST_VCPUS_DEFAULT,
                        .memory = GUEST_MEMORY_DEFAULT,
                },
        };
        uint64_t n;
        int c, r;

        while ((c = getopt_long(argc, argv, "o:k:i:a:m:c:p:jh", options, NULL)) >= 0) {
                a.explicit |= c != 'o' && c != 'p' && c != OPT_KCORE && c != 'j';
                switch (c) {
                case 'o':
                        a.output = optarg;
                        break;
                case 'k':
                        a.kernel = optarg;
                        break;
                case 'i':
                        a.initrd = optarg;
                        break;
                case 'a':
                        a.input.append = optarg;
                        break;
                case 'm':
                        if (parse_size(optarg, &a.input.memory) < 0)
                                return usage_error("measure", "\"%s\" is no size", optarg);
                        break;
                case 'c':
                        if (parse_unsigned(optarg, GUEST_VCPUS_DEFAULT + 1023, &n) < 0)
                                return usage_error("measure", "\"%s\" is no number of vCPUs", optarg);
                        a.input.vcpus = (uint32_t) n;
                        break;
                case OPT_EARLY:
                        a.input.earlycon = true;
                        break;
                case OPT_HASH:
                        if (!streq(optarg, "sha256") && !streq(optarg, "sha512"))
                                return usage_error("measure", "--hash takes sha256 or sha512");
                        a.input.hash_algo = streq(optarg, "sha512") ? KCORE_HASH_SHA512 : KCORE_HASH_SHA256;
                        break;
                case 'p':
                        a.platform = optarg;
                        break;
                case OPT_KCORE:
                        a.kcore = optarg;
                        break;
                default:
                        r = common_option(c, "measure", usage);
                        if (r >= 0)
                                return r;
                }
        }
        if (argc - optind > 1)
                return usage_error("measure", "measure takes one image");
        a.image = argv[optind];
        if (!a.image == !a.kernel)
                return usage_error("measure", "measure needs either an image or --kernel");
        if (a.image && a.explicit)
                return usage_error("measure", "an image says all that --kernel and its options could");
        return run(&a);
}
