/* SPDX-License-Identifier: Apache-2.0 */
#include "../../libkcore/tests/test.h"
#include "../domain-xml.h"

#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"
#define OURS "<kcore:realm xmlns:kcore='urn:kcore:domain:1' image='/srv/web.kci'/>"
#define DOMAIN(metadata, emulator) \
        "<domain type='kvm' id='3'><name>web</name><uuid>" UUID "</uuid><metadata>" metadata "</metadata>" \
        "<memory unit='KiB'>524288</memory><vcpu placement='static'>2</vcpu>" \
        "<devices><emulator>" emulator "</emulator></devices></domain>"

static int parse(const char *text, struct domain_xml *ret, char **error) {
        *ret = (struct domain_xml) {};
        *error = NULL;
        return domain_xml_parse(text, strlen(text), ret, error);
}

static void test_protected(void **state _unused_) {
        _cleanup_(domain_xml_donep) struct domain_xml d = {};
        _cleanup_free_ char *error = NULL;

        assert_int_equal(parse(DOMAIN("<x:y xmlns:x='urn:x'/>" OURS, "/usr/bin/kcore-qemu"), &d, &error), 0);
        assert_string_equal(d.name, "web");
        assert_int_equal(d.uuid.bytes[15], 0x09);
        assert_int_equal(d.memory, 512 * MIB);
        assert_int_equal(d.vcpus, 2);
        assert_string_equal(d.image, "/srv/web.kci");
        assert_true(domain_xml_says_protected(&d));
        assert_int_equal(domain_xml_check(&d, &error), 0);
}

static void test_ordinary(void **state _unused_) {
        static const char *const texts[] = {
                DOMAIN("", "/usr/bin/qemu-system-aarch64"),
                DOMAIN("<x:realm xmlns:x='urn:x' image='/a'/>", "/usr/bin/qemu-system-aarch64"),
                "<domain type='kvm'><name>a</name></domain>",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(domain_xml_donep) struct domain_xml d = {};
                _cleanup_free_ char *error = NULL;

                assert_int_equal(parse(texts[i], &d, &error), 0);
                assert_false(domain_xml_says_protected(&d));
        }
}

/* Says so, and would not be. */
static void test_edited(void **state _unused_) {
        static const struct {
                const char *text, *words;
        } cases[] = {
                { DOMAIN(OURS, "/usr/bin/qemu-system-aarch64"), "not started unprotected" },
                { DOMAIN(OURS, "/usr/bin/../bin/kcore-qemu"), "not started unprotected" },
                { DOMAIN("", "/usr/bin/kcore-qemu"), "name no image" },
                { "<domain type='kvm'><name>a</name><metadata>" OURS "</metadata></domain>", "not started unprotected" },
                { "<domain type='kvm'><name>a</name><metadata>" OURS "</metadata><devices><emulator>/usr/bin/kcore-qemu</emulator></devices></domain>", "no UUID" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(domain_xml_donep) struct domain_xml d = {};
                _cleanup_free_ char *error = NULL;

                assert_int_equal(parse(cases[i].text, &d, &error), 0);
                assert_true(domain_xml_says_protected(&d));
                assert_int_equal(domain_xml_check(&d, &error), -EINVAL);
                if (!strstr(error, cases[i].words))
                        fail_msg("%zu: \"%s\" does not say \"%s\"", i, error, cases[i].words);
        }
}

static void test_bad(void **state _unused_) {
        static const char *const texts[] = {
                "", "x", "<domain>", "<network/>", "<x:domain xmlns:x='urn:x'><name>a</name></x:domain>", "<domain type='kvm'/>",
                DOMAIN(OURS OURS, "/usr/bin/kcore-qemu"),
                DOMAIN("<kcore:other xmlns:kcore='urn:kcore:domain:1'/>", "/usr/bin/kcore-qemu"),
                DOMAIN("<kcore:realm xmlns:kcore='urn:kcore:domain:1'/>", "/usr/bin/kcore-qemu"),
                DOMAIN("<kcore:realm xmlns:kcore='urn:kcore:domain:1' image='web.kci'/>", "/usr/bin/kcore-qemu"),
                DOMAIN("<kcore:realm xmlns:kcore='urn:kcore:domain:1' image='/a&#10;b'/>", "/usr/bin/kcore-qemu"),
                DOMAIN("<kcore:realm xmlns:kcore='urn:kcore:domain:1' image='/a' protect='no'/>", "/usr/bin/kcore-qemu"),
                DOMAIN("<kcore:realm xmlns:kcore='urn:kcore:domain:1' image='/a'><kcore:off/></kcore:realm>", "/usr/bin/kcore-qemu"),
                DOMAIN(OURS, "/usr/bin/kcore-qemu</emulator><emulator>/bin/sh"),
                "<domain><name>a</name><metadata/><metadata>" OURS "</metadata></domain>",
                "<domain><name>a</name><name>b</name></domain>",
                "<domain><name>a</name><uuid>1</uuid></domain>",
                "<domain><name>a</name><memory unit='parsec'>1</memory></domain>",
                "<domain><name>a</name><memory unit='TiB'>99999999999</memory></domain>",
                "<domain><name>a</name><memory>-1</memory></domain>",
                "<domain><name>a</name><vcpu>many</vcpu></domain>",
                "<!DOCTYPE domain [<!ENTITY x 'y'>]><domain><name>&x;</name></domain>",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(domain_xml_donep) struct domain_xml d = {};
                _cleanup_free_ char *error = NULL;

                if (parse(texts[i], &d, &error) != -EINVAL)
                        fail_msg("%zu was taken", i);
                assert_non_null(error);
                assert_null(strchr(error, '\n'));
        }
}

static void test_units(void **state _unused_) {
        static const struct {
                const char *memory;
                uint64_t bytes;
        } cases[] = {
                { "<memory>1</memory>", 1024 }, { "<memory unit='b'>7</memory>", 7 }, { "<memory unit='GiB'>3</memory>", 3 * GIB },
                { "<memory unit='MB'>2</memory>", 2000000 }, { "", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(domain_xml_donep) struct domain_xml d = {};
                _cleanup_free_ char *error = NULL;
                char text[256];

                snprintf(text, sizeof(text), "<domain><name>a</name>%s</domain>", cases[i].memory);
                assert_int_equal(parse(text, &d, &error), 0);
                assert_int_equal(d.memory, cases[i].bytes);
        }
}

static const char before[] =
        "<domain type='kvm'><name>web</name><uuid>" UUID "</uuid><metadata><x:y xmlns:x='urn:x'>kept</x:y></metadata>"
        "<memory unit='MiB'>900</memory><vcpu current='1'>4</vcpu><memoryBacking><hugepages/></memoryBacking>"
        "<os firmware='efi'><type arch='aarch64' machine='virt-10.0'>hvm</type><loader>/x</loader><kernel>/k</kernel></os>"
        "<features><acpi/><gic version='2'/></features><cpu mode='custom'><model>cortex-a57</model></cpu><on_reboot>restart</on_reboot>"
        "<devices><emulator>/usr/bin/qemu-system-aarch64</emulator><disk type='file' device='disk'><target dev='vda' bus='virtio'/></disk>"
        "<memballoon model='virtio'/></devices></domain>";

static void test_convert(void **state _unused_) {
        static const char *const there[] = {
                "image=\"/srv/a&amp;b.kci\"", "xmlns:kcore=\"urn:kcore:domain:1\"", ">kept</x:y>", "<memory unit=\"KiB\">1048576</memory>",
                "<vcpu>3</vcpu>", "<emulator>/usr/bin/kcore-qemu</emulator>", "<gic version=\"3\"/>", "machine=\"virt-10.0\"",
                "<cpu mode=\"host-passthrough\"/>", "<on_reboot>destroy</on_reboot>", "<memballoon model=\"none\"/>", "dev=\"vda\"", "<hard_limit unit=\"KiB\">",
        };
        static const char *const gone[] = { "loader", "<kernel>", "firmware", "acpi", "hugepages", "cortex", "current=", "<?xml" };
        _cleanup_free_ char *text = NULL, *old = NULL, *again = NULL, *error = NULL;
        _cleanup_(domain_xml_donep) struct domain_xml d = {};

        if (domain_xml_convert(before, strlen(before), "/srv/a&b.kci", GIB, 3, &text, &old, &error) < 0)
                fail_msg("%s", error);
        for (size_t i = 0; i < ELEMENTSOF(there); i++)
                if (!strstr(text, there[i]))
                        fail_msg("no %s in %s", there[i], text);
        for (size_t i = 0; i < ELEMENTSOF(gone); i++)
                if (strstr(text, gone[i]))
                        fail_msg("%s in %s", gone[i], text);
        assert_non_null(strstr(old, "cortex-a57"));

        /* The hook will take it, and a second time changes nothing. */
        assert_int_equal(domain_xml_parse(text, strlen(text), &d, &error), 0);
        assert_string_equal(d.image, "/srv/a&b.kci");
        assert_int_equal(d.memory, GIB);
        assert_int_equal(domain_xml_check(&d, &error), 0);
        assert_int_equal(domain_xml_convert(text, strlen(text), "/srv/a&b.kci", GIB, 3, &again, NULL, &error), 0);
        assert_string_equal(again, text);
}

static void test_convert_refuses(void **state _unused_) {
        static const char *const texts[] = {
                "<domain type='qemu'><name>a</name></domain>",
                "<domain><name>a</name></domain>",
                "<domain type='kvm'><name>a</name><os><type arch='x86_64'>hvm</type></os></domain>",
                "<domain type='kvm'><name>a</name><os><type machine='raspi3b'>hvm</type></os></domain>",
                "<domain type='kvm'><name>a</name><devices/><devices/></domain>",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_free_ char *text = NULL, *error = NULL;

                assert_int_equal(domain_xml_convert(texts[i], strlen(texts[i]), "/a", GIB, 1, &text, NULL, &error), -EINVAL);
                assert_null(text);
                assert_non_null(error);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_protected),
                cmocka_unit_test(test_ordinary),
                cmocka_unit_test(test_edited),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_units),
                cmocka_unit_test(test_convert),
                cmocka_unit_test(test_convert_refuses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
