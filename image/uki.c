/* SPDX-License-Identifier: Apache-2.0 */
#include "kci.h"

#include <endian.h>
#include <sys/stat.h>

#define PE_MACHINE_ARM64 0xAA64
#define PE_SECTIONS_MAX 96 /* of the PE specification */
#define PE_OFFSET_MAX (1 * MIB)

static uint16_t get16(const uint8_t *p) {
        return (uint16_t) (p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p) {
        return (uint32_t) get16(p) | (uint32_t) get16(p + 2) << 16;
}

static struct kci_span *wanted(struct kci_uki *u, const uint8_t *name) {
        if (memcmp(name, ".linux\0", 8) == 0)
                return &u->kernel;
        if (memcmp(name, ".initrd\0", 8) == 0)
                return &u->initrd;
        if (memcmp(name, ".cmdline", 8) == 0)
                return &u->cmdline;
        return NULL;
}

static int parse_section(const uint8_t *header, uint64_t file_size, int fd, struct kci_uki *u, struct kci_error *e) {
        uint64_t size = get32(header + 8), raw_size = get32(header + 16), offset = get32(header + 20);
        struct kci_span *s = wanted(u, header);

        if (!s)
                return 0;
        if (s->fd >= 0)
                return kci_fail(e, KCI_ERROR_INPUT, "the UKI has two sections %.8s (profiles are not supported)", (const char *) header);
        /* In the file a section is rounded up. */
        size = size > 0 ? MIN(size, raw_size) : raw_size;
        if (offset > file_size || size > file_size - offset)
                return kci_fail(e, KCI_ERROR_INPUT, "the UKI's section %.8s reaches beyond the end of the file", (const char *) header);
        if (size == 0)
                return 0;
        *s = (struct kci_span) { .fd = fd, .offset = offset, .size = size };
        return 0;
}

int kci_uki_parse(int fd, struct kci_uki *ret, struct kci_error *e) {
        struct kci_uki u = { .kernel.fd = -EBADF, .initrd.fd = -EBADF, .cmdline.fd = -EBADF };
        uint8_t dos[64], pe[24], section[40];
        uint64_t size, at;
        struct stat st;
        unsigned n;
        int r;

        if (fstat(fd, &st) < 0)
                return kci_fail_errno(e, -errno, "the UKI can not be looked at");
        if (!S_ISREG(st.st_mode))
                return kci_fail(e, KCI_ERROR_INPUT, "the UKI is not a regular file");
        size = (uint64_t) st.st_size;
        if (size < sizeof(dos))
                return kci_fail(e, KCI_ERROR_INPUT, "it is not a UKI: no PE file");
        r = kci_pread(fd, dos, sizeof(dos), 0, e);
        if (r < 0)
                return r;
        at = get32(dos + 0x3C);
        if (memcmp(dos, "MZ", 2) != 0 || at > PE_OFFSET_MAX || size < sizeof(pe) || at > size - sizeof(pe))
                return kci_fail(e, KCI_ERROR_INPUT, "it is not a UKI: no PE file");
        r = kci_pread(fd, pe, sizeof(pe), at, e);
        if (r < 0)
                return r;
        if (memcmp(pe, "PE\0\0", 4) != 0)
                return kci_fail(e, KCI_ERROR_INPUT, "it is not a UKI: no PE file");
        if (get16(pe + 4) != PE_MACHINE_ARM64)
                return kci_fail(e, KCI_ERROR_INPUT, "it is a UKI for another architecture than arm64");
        n = get16(pe + 6);
        if (n > PE_SECTIONS_MAX)
                return kci_fail(e, KCI_ERROR_INPUT, "the UKI has %u sections, more than %d", n, PE_SECTIONS_MAX);
        at += sizeof(pe) + get16(pe + 20);

        for (unsigned k = 0; k < n; k++, at += sizeof(section)) {
                if (at > size - sizeof(section))
                        return kci_fail(e, KCI_ERROR_INPUT, "the UKI ends inside its table of sections");
                r = kci_pread(fd, section, sizeof(section), at, e);
                r = r < 0 ? r : parse_section(section, size, fd, &u, e);
                if (r < 0)
                        return r;
        }
        if (u.kernel.fd < 0)
                return kci_fail(e, KCI_ERROR_INPUT, "it is not a UKI: there is no section .linux (a plain kernel is given with --kernel)");
        *ret = u;
        return 0;
}
