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

#define WITH_DEVICES(devices) "<domain type='kvm'><name>web</name><devices>" devices "</devices></domain>"
#define AT(bus, slot) "<address type='pci' domain='0x0000' bus='" bus "' slot='" slot "' function='0x0'/>"
#define PLACED(slot) "<address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"" slot "\" function=\"0x0\"/>"

/* What is between the first `from` and the next `to`. */
static char *part_of(const char *text, const char *from, const char *to) {
        const char *start = strstr(text, from), *end = start ? strstr(start, to) : NULL;
        char *part;

        if (!end)
                fail_msg("no %s with %s in %s", from, to, text);
        part = strndup(start, (size_t) (end - start));
        assert_non_null(part);
        return part;
}

static char *converted(const char *text) {
        _cleanup_free_ char *error = NULL, *again = NULL;
        char *once = NULL;

        if (domain_xml_convert(text, strlen(text), "/a", GIB, 1, &once, NULL, &error) < 0)
                fail_msg("%s", error);
        assert_int_equal(domain_xml_convert(once, strlen(once), "/a", GIB, 1, &again, NULL, &error), 0);
        assert_string_equal(once, again);
        return once;
}

/* What virt-install writes, and what virsh shows of it: devices behind ports. */
static void test_devices_are_on_bus_0(void **state _unused_) {
        static const struct {
                const char *device, *end, *there;
        } cases[] = {
                { "<disk", "</disk>", PLACED("0x01") },
                { "<interface", "</interface>", PLACED("0x02") },
                { "<controller type=\"usb\"", "</controller>", PLACED("0x03") },
                { "<rng", "</rng>", PLACED("0x05") },                  /* 4 is taken */
                { "<video", "</video>", PLACED("0x04") },              /* as it was */
                { "<controller type=\"virtio-serial\"", "</controller>", PLACED("0x06") },
                { "<channel", "</channel>", "port=\"1\"" },
        };
        _cleanup_free_ char *text = converted(WITH_DEVICES(
                "<disk type='file'><source file='/d'/><target dev='vda' bus='virtio'/>" AT("0x03", "0x00") "</disk>"
                "<interface type='network'><model type='virtio'/></interface>"
                "<controller type='usb' model='qemu-xhci'>" AT("0x01", "0x00") "</controller>"
                "<controller type='pci' index='0' model='pcie-root'/>"
                "<controller type='pci' index='1' model='pcie-root-port'>"
                "<address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0' multifunction='on'/></controller>"
                "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
                "<video><model type='virtio'/>" AT("0x00", "0x04") "</video>"
                "<channel type='unix'><target type='virtio' name='a'/><address type='virtio-serial' controller='0' bus='0' port='1'/></channel>"));

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *part = part_of(text, cases[i].device, cases[i].end);

                if (!strstr(part, cases[i].there))
                        fail_msg("no %s in %s", cases[i].there, part);
        }
        assert_null(strstr(text, "pcie-root"));
        assert_null(strstr(text, "bus=\"0x03\""));
}

static void test_what_libvirt_would_add(void **state _unused_) {
        _cleanup_free_ char *none = converted(WITH_DEVICES("")), *some = converted(WITH_DEVICES(
                "<disk><target dev='sda' bus='scsi'/><address type='drive' controller='0'/></disk><input type='tablet' bus='usb'/>"
                "<console type='pty'><target type='virtio'/></console>"));
        _cleanup_free_ char *disk = part_of(some, "<disk", "</disk>"), *scsi = part_of(some, "<controller type=\"scsi\" index=\"0\" model=\"virtio-scsi\"", "</controller>"),
                            *usb = part_of(some, "<controller type=\"usb\" index=\"0\" model=\"qemu-xhci\"", "</controller>"),
                            *serial = part_of(some, "<controller type=\"virtio-serial\"", "</controller>");

        assert_non_null(strstr(none, "<controller type=\"usb\" index=\"0\" model=\"none\"/>"));
        assert_null(strstr(none, "address"));
        assert_non_null(strstr(disk, "type=\"drive\""));
        assert_non_null(strstr(serial, PLACED("0x01")));
        assert_non_null(strstr(scsi, PLACED("0x02")));
        assert_non_null(strstr(usb, PLACED("0x03")));
}

/* Two at one place, one where kcore-qemu has its own, one that is no address, one that libvirt does not put on PCI. */
static void test_bad_addresses(void **state _unused_) {
        _cleanup_free_ char *text = converted(WITH_DEVICES(
                "<rng>" AT("0", "2") "</rng><vsock>" AT("0", "2") "</vsock><crypto>" AT("0", "0x1e") "</crypto>"
                "<sound model='ich9'>" AT("0", "-1") "</sound><sound model='usb'/><shmem>" AT("0", "x") AT("0", "9") "</shmem>"));
        _cleanup_free_ char *rng = part_of(text, "<rng", "</rng>"), *vsock = part_of(text, "<vsock", "</vsock>"), *crypto = part_of(text, "<crypto", "</crypto>"),
                            *sound = part_of(text, "<sound", "</sound>"), *shmem = part_of(text, "<shmem", "</shmem>");

        assert_non_null(strstr(rng, "slot=\"2\""));
        assert_non_null(strstr(vsock, PLACED("0x01")));
        assert_non_null(strstr(crypto, PLACED("0x03")));
        assert_non_null(strstr(sound, PLACED("0x04")));
        assert_non_null(strstr(shmem, PLACED("0x05")));
        assert_non_null(strstr(text, "<sound model=\"usb\"/>"));
}

static void test_too_many_devices(void **state _unused_) {
        for (unsigned n = 28; n <= 29; n++) {
                _cleanup_free_ char *text = strdup("<domain type='kvm'><name>a</name><devices>"), *out = NULL, *error = NULL;
                int r;

                for (unsigned i = 0; text && i < n; i++) {
                        char *longer = NULL;

                        assert_true(asprintf(&longer, "%s<rng/>", text) > 0);
                        free(text);
                        text = longer;
                }
                assert_true(asprintf(&out, "%s</devices></domain>", text) > 0);
                free(text);
                text = TAKE_PTR(out);
                r = domain_xml_convert(text, strlen(text), "/a", GIB, 1, &out, NULL, &error);
                assert_int_equal(r, n == 28 ? 0 : -EINVAL);
                assert_true(n == 28 || strstr(error, "28 PCI devices"));
        }
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
                cmocka_unit_test(test_devices_are_on_bus_0),
                cmocka_unit_test(test_what_libvirt_would_add),
                cmocka_unit_test(test_bad_addresses),
                cmocka_unit_test(test_too_many_devices),
                cmocka_unit_test(test_convert_refuses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
