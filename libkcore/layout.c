/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <endian.h>

#define IMAGE_MAGIC 0x644d5241 /* "ARM\x64" */

static uint64_t read64(const uint8_t *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}

static uint32_t read32(const uint8_t *p) {
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return le32toh(v);
}

int image_header_parse(const uint8_t *data, size_t size, struct image_header *ret, const char **reterr) {
        uint64_t text_offset, image_size, flags;

        if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) {
                *reterr = "it is compressed with gzip; unpack it with gunzip first";
                return -EINVAL;
        }
        if (size >= 8 && memcmp(data, "MZ", 2) == 0 && memcmp(data + 4, "zimg", 4) == 0) {
                *reterr = "it is a compressed EFI image (zboot); use the plain Image";
                return -EINVAL;
        }
        if (size < IMAGE_HEADER_SIZE || read32(data + 56) != IMAGE_MAGIC) {
                *reterr = "it is not an arm64 Linux Image (no ARM64 magic at offset 56)";
                return -EINVAL;
        }

        text_offset = read64(data + 8);
        image_size = read64(data + 16);
        flags = read64(data + 24);

        if (image_size == 0) {
                *reterr = "its header gives no image size (kernel older than 3.17)";
                return -EINVAL;
        }
        if (flags & 1) {
                *reterr = "it is a big-endian kernel";
                return -EINVAL;
        }
        if ((flags >> 1 & 3) > 1) {
                *reterr = "it needs pages larger than 4 KiB";
                return -EINVAL;
        }
        if (text_offset % GUEST_PAGE_SIZE != 0 || text_offset >= GUEST_BLOCK_SIZE) {
                *reterr = "its text offset is not a multiple of 4 KiB below 2 MiB";
                return -EINVAL;
        }

        *ret = (struct image_header) { .text_offset = text_offset, .image_size = image_size };
        return 0;
}

int guest_layout_memory(uint64_t memory, struct guest_layout *ret) {
        unsigned s2sz = 33;

        if (memory < GUEST_MEMORY_MIN || memory > GUEST_MEMORY_MAX || memory % GUEST_BLOCK_SIZE != 0)
                return -EINVAL;

        while ((UINT64_C(1) << (s2sz - 1)) < VIRT_RAM_BASE + memory)
                s2sz++;

        *ret = (struct guest_layout) {
                .ram_base = VIRT_RAM_BASE,
                .ram_size = memory,
                .s2sz = s2sz,
                .shared_offset = UINT64_C(1) << (s2sz - 1),
                .qemu_memory = (UINT64_C(1) << (s2sz - 1)) + memory,
        };
        return 0;
}

int guest_layout_plan(
                uint64_t memory,
                const struct image_header *image,
                uint64_t kernel_file_size,
                uint64_t initrd_size,
                uint64_t dtb_size,
                struct guest_layout *ret) {

        struct guest_layout l;
        uint64_t end, kernel_size;
        int r;

        r = guest_layout_memory(memory, &l);
        if (r < 0)
                return r;

        /* Sizes come from a caller: none of the sums below may wrap. */
        kernel_size = MAX(image->image_size, kernel_file_size);
        if (kernel_size > memory || initrd_size > memory || dtb_size > memory)
                return -ENOSPC;

        l.kernel = l.entry = l.ram_base + GUEST_KERNEL_OFFSET + image->text_offset;
        l.initrd_size = initrd_size;
        end = ALIGN_TO(l.kernel + kernel_size, GUEST_BLOCK_SIZE);
        if (initrd_size > 0) {
                l.initrd = end;
                end = ALIGN_TO(end + initrd_size, GUEST_BLOCK_SIZE);
        }
        l.dtb = end;
        end = ALIGN_TO(end + dtb_size, GUEST_PAGE_SIZE);
        if (end > l.ram_base + l.ram_size)
                return -ENOSPC;

        *ret = l;
        return 0;
}

uint64_t guest_locked_memory(uint64_t memory, unsigned vcpus) {
        return 2 * memory                 /* private pages, and as many shared ones */
                + 2 * (memory / 512)      /* one RTT page per 2 MiB, on both sides */
                + (uint64_t) vcpus * 64 * KIB
                + 16 * MIB;               /* upper tables, MMIO windows, QEMU's own */
}
