/* SPDX-License-Identifier: Apache-2.0 */

/* What the daemon makes of an image: which calls of the launch device, with what, and which words if not. */

#include "fake-system.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "../../libkcore/memfd.h"
#include "../guest-image.h"
#include "make-image.h"

static uint8_t sealing_key[32]; /* of the machine in the identity document */
static uint8_t document[KCORE_IDENTITY_MAX];
static size_t document_size;

static int setup(void **state _unused_) {
        fake_reset();
        memcpy(fake.identity, document, document_size);
        fake.identity_size = document_size;
        return 0;
}

static void expect_words(struct failure *f, const char *field, const char *words) {
        sd_json_variant *v;

        assert_non_null(f->error_id);
        if (field) {
                assert_string_equal(f->error_id, "io.kcore.Manager.InvalidGuest");
                assert_string_equal(sd_json_variant_string(sd_json_variant_by_key(f->parameters, "field")), field);
        } else
                assert_string_equal(f->error_id, "io.kcore.Manager.LaunchFailed");
        v = sd_json_variant_by_key(f->parameters, "message");
        if (!strstr(sd_json_variant_string(v), words))
                fail_msg("\"%s\" does not say \"%s\"", sd_json_variant_string(v), words);
        failure_done(f);
}

/* Reads and arms. */
static int launch(int fd, struct failure *f) {
        _cleanup_(guest_config_donep) struct guest_config c = GUEST_CONFIG_INIT;
        struct kci_image i;
        int r;

        assert_ok(free_and_strdup(&c.name, "a"));
        c.image_fd = fd;
        r = guest_image_read(&c, &i, f);
        if (r < 0)
                return r;
        assert_int_equal(c.memory, 1 * GIB);
        assert_int_equal(c.vcpus, 3);
        return guest_image_arm(&fake_ops, &c, &i, f);
}

static void good(int kind) {
        struct failure f = {};
        struct kci_image i;
        int fd;

        fd = launch(make_image(kind, sealing_key, &i), &f);
        assert_ok(fd);
        close(fd);
        assert_int_equal(fake.config.ram_base, 0x40000000);
        assert_int_equal(fake.config.ram_size, 1 * GIB);
        assert_int_equal(fake.config.vcpus, 3);
        assert_int_equal(fake.config.s2sz, 33);
        assert_int_equal(fake.config.hash_algo, 0);
        assert_int_equal(fake.config.entry_pc, i.entry);
        assert_int_equal(fake.config.entry_regs[0], i.x0);
        assert_int_equal(fake.n_segments, 3);
        for (size_t k = 0; k < 3; k++) {
                assert_int_equal(fake.segments[k].ipa, i.segments[k].ipa);
                assert_int_equal(fake.segments[k].length, i.segments[k].pages * KCI_PAGE);
                assert_int_equal(fake.segments[k].offset, i.segments[k].offset);
                assert_int_equal(fake.segments[k].tags, i.segments[k].tags);
                assert_int_equal(fake.segments[k].tags != 0, kind == IMAGE_SEALED);
        }
        assert_int_equal(fake.has_policy, kind >= IMAGE_SIGNED);
        assert_int_equal(fake.has_key, kind == IMAGE_SEALED);
        if (kind >= IMAGE_SIGNED) {
                assert_memory_equal(fake.block + 0xD0, i.signer, 32);
                assert_memory_equal(fake.block + 0xF0, i.block_signature, 64);
        }
        if (kind == IMAGE_SEALED) {
                assert_memory_equal(fake.enc, i.recipients[0].enc, 32);
                assert_memory_equal(fake.ct, i.recipients[0].ct, 48);
        }
}

static void test_plain(void **state _unused_) {
        good(IMAGE_PLAIN);
}

static void test_signed(void **state _unused_) {
        good(IMAGE_SIGNED);
}

static void test_sealed(void **state _unused_) {
        good(IMAGE_SEALED);
}

static void test_sealed_to_another_machine(void **state _unused_) {
        uint8_t other[32] = { 9 };
        struct failure f = {};
        struct kci_image i;

        assert_int_equal(launch(make_image(IMAGE_SEALED, other, &i), &f), -EINVAL);
        expect_words(&f, "image", "it is not sealed to this platform");
        assert_int_equal(fake.n_segments, 0);

        fake.identity_error = -ENODEV;
        assert_int_equal(launch(make_image(IMAGE_SEALED, sealing_key, &i), &f), -EINVAL);
        expect_words(&f, NULL, "does not tell its identity: No such device");
        fake.identity_error = 0;
        fake.identity_size = 100;
        assert_int_equal(launch(make_image(IMAGE_SEALED, sealing_key, &i), &f), -EINVAL);
        expect_words(&f, "image", "the platform's identity can not be used");
}

/* An image with one byte changed. */
static int damaged(int kind, uint64_t at) {
        _cleanup_close_ int good_fd = -EBADF;
        _cleanup_free_ uint8_t *data = NULL;
        struct kci_image i;
        struct kci_error e;

        good_fd = make_image(kind, sealing_key, &i);
        data = malloc(i.size);
        assert_non_null(data);
        assert_int_equal(kci_pread(good_fd, data, i.size, 0, &e), 0);
        data[at] ^= 1;
        return memfd_from_data("image", data, i.size);
}

static void test_wrong_images(void **state _unused_) {
        struct failure f = {};

        assert_int_equal(launch(damaged(IMAGE_PLAIN, 0), &f), -EINVAL);
        expect_words(&f, "image", "this is not a KCore image");
        assert_int_equal(launch(damaged(IMAGE_PLAIN, 8), &f), -EINVAL);
        expect_words(&f, "image", "version 0 of the format");
        assert_int_equal(launch(damaged(IMAGE_PLAIN, 16), &f), -EINVAL);
        expect_words(&f, "image", "header: ");
        assert_int_equal(launch(damaged(IMAGE_SIGNED, 24 + 4), &f), -EINVAL); /* in the map of the manifest */
        expect_words(&f, "image", "manifest: ");
        assert_int_equal(launch(damaged(IMAGE_SIGNED, 16 + 15), &f), -EINVAL); /* in its name */
        expect_words(&f, "image", "signature of the manifest is wrong");
        assert_int_equal(launch(damaged(IMAGE_PLAIN, 4095), &f), -EINVAL);
        expect_words(&f, "image", "filling");
        assert_int_equal(launch(memfd_from_data("x", "", 0), &f), -EINVAL);
        expect_words(&f, "image", "this is not a KCore image");
}

static void test_wrong_descriptors(void **state _unused_) {
        _cleanup_(guest_config_donep) struct guest_config c = GUEST_CONFIG_INIT;
        struct failure f = {};
        struct kci_image i;

        assert_int_equal(launch(open("/dev/zero", O_RDWR | O_CLOEXEC), &f), -EINVAL);
        expect_words(&f, "image", "sealed memfd");
        assert_int_equal(launch(memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), &f), -EINVAL);
        expect_words(&f, "image", "sealed memfd");

        c.image_fd = make_image(IMAGE_PLAIN, sealing_key, &i);
        c.append = strdup("init=/bin/sh");
        assert_int_equal(guest_image_read(&c, &i, &f), -EINVAL);
        expect_words(&f, "image", "its own kernel");
        free(TAKE_PTR(c.append));
        c.kernel_fd = memfd_from_data("x", "", 0);
        assert_int_equal(guest_image_read(&c, &i, &f), -EINVAL);
        expect_words(&f, "image", "its own kernel");
}

static void test_kernel_refuses(void **state _unused_) {
        static const struct {
                int *error;
                const char *words;
        } cases[] = {
                { &fake.config_error, "the kernel refuses the guest's configuration: " },
                { &fake.policy_error, "the kernel refuses the image's policy: " },
                { &fake.key_error, "the kernel refuses the image's key: " },
                { &fake.segment_error, "the kernel refuses segment 1 of the image (kernel): " },
        };

        for (size_t k = 0; k < ELEMENTSOF(cases); k++) {
                struct failure f = {};
                struct kci_image i;

                *cases[k].error = -EBUSY;
                assert_int_equal(launch(make_image(IMAGE_SEALED, sealing_key, &i), &f), -EINVAL);
                expect_words(&f, NULL, cases[k].words);
                *cases[k].error = 0;
        }
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_plain, setup),
                cmocka_unit_test_setup(test_signed, setup),
                cmocka_unit_test_setup(test_sealed, setup),
                cmocka_unit_test_setup(test_sealed_to_another_machine, setup),
                cmocka_unit_test_setup(test_wrong_images, setup),
                cmocka_unit_test_setup(test_wrong_descriptors, setup),
                cmocka_unit_test_setup(test_kernel_refuses, setup),
        };
        _cleanup_fclose_ FILE *f = NULL;

        /* Arguments: an identity document, its X25519 public key. */
        f = argc == 3 ? fopen(argv[1], "re") : NULL;
        if (!f)
                return 1;
        document_size = fread(document, 1, sizeof(document), f);
        fclose(f);
        f = fopen(argv[2], "re");
        if (!f || document_size == 0 || fread(sealing_key, 1, sizeof(sealing_key), f) != sizeof(sealing_key))
                return 1;
        return cmocka_run_group_tests_name("guest-image", tests, NULL, NULL);
}
