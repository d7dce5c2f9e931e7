/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where things are in a realm: the fixed addresses of QEMU's machine "virt" (its memory map is stable
 * across versions), and where the payload goes. All addresses are IPAs. */

#include <stdint.h>

#include "util.h"

#define VIRT_GICD_BASE UINT64_C(0x08000000)
#define VIRT_GICD_SIZE UINT64_C(0x00010000)
#define VIRT_GICR_BASE UINT64_C(0x080A0000)
#define VIRT_GICR_SIZE UINT64_C(0x00F60000)
#define VIRT_UART_BASE UINT64_C(0x09000000)
#define VIRT_RTC_BASE UINT64_C(0x09010000)
#define VIRT_GPIO_BASE UINT64_C(0x09030000)
#define VIRT_PCIE_MMIO_BASE UINT64_C(0x10000000)
#define VIRT_PCIE_MMIO_SIZE UINT64_C(0x2EFF0000)
#define VIRT_PCIE_PIO_BASE UINT64_C(0x3EFF0000)
#define VIRT_PCIE_PIO_SIZE UINT64_C(0x00010000)
#define VIRT_PCIE_ECAM_BASE UINT64_C(0x3F000000)
#define VIRT_PCIE_ECAM_SIZE UINT64_C(0x01000000)
#define VIRT_RAM_BASE UINT64_C(0x40000000)

/* Shared peripheral interrupts, as the device tree counts them (INTID - 32). */
#define VIRT_SPI_UART 1
#define VIRT_SPI_RTC 2
#define VIRT_SPI_PCIE_INTA 3 /* to 6: INTA..INTD */
#define VIRT_SPI_GPIO 7

/* Private peripheral interrupts (INTID - 16). */
#define VIRT_PPI_TIMER_SECURE 13
#define VIRT_PPI_TIMER_PHYS 14
#define VIRT_PPI_TIMER_VIRT 11
#define VIRT_PPI_TIMER_HYP 10

#define GUEST_BLOCK_SIZE (2 * MIB)
#define GUEST_PAGE_SIZE (4 * KIB)
#define GUEST_KERNEL_OFFSET (2 * MIB) /* of the Image's 2 MiB aligned base, from the start of RAM */

#define GUEST_MEMORY_MIN (64 * MIB)
#define GUEST_MEMORY_MAX (511 * GIB) /* s2sz 40 */
#define GUEST_VCPUS_MAX 123          /* redistributors that fit below the UART */

/* The fields of an arm64 Image header that matter (Documentation/arch/arm64/booting.rst). */
struct image_header {
        uint64_t text_offset;
        uint64_t image_size; /* including bss */
};

#define IMAGE_HEADER_SIZE 64

/* Reads an Image header. -EINVAL if it is none (reterr says why; static string). */
int image_header_parse(const uint8_t *data, size_t size, struct image_header *ret, const char **reterr);

struct guest_layout {
        uint64_t ram_base, ram_size;
        unsigned s2sz;         /* IPA width of the realm */
        uint64_t shared_offset; /* 2^(s2sz-1): the unprotected alias of IPA x is x | shared_offset */
        uint64_t qemu_memory;  /* QEMU's -m: RAM from ram_base up to the end of the shared alias */
        uint64_t kernel, initrd, dtb;
        uint64_t initrd_size;
        uint64_t entry;
};

/* Places the payload. image: parsed header; file sizes in bytes; initrd_size 0 if none; dtb_size: upper
 * bound. -EINVAL if memory is no multiple of 2 MiB or out of range, -ENOSPC if the payload does not fit. */
int guest_layout_plan(
                uint64_t memory,
                const struct image_header *image,
                uint64_t kernel_file_size,
                uint64_t initrd_size,
                uint64_t dtb_size,
                struct guest_layout *ret);

/* Only the part that depends on the memory size: ram_*, s2sz, shared_offset, qemu_memory. */
int guest_layout_memory(uint64_t memory, struct guest_layout *ret);

/* MPIDR_EL1 affinity of a vCPU on a GICv3 machine: sixteen to a cluster. */
static inline uint64_t guest_mpidr(unsigned vcpu) {
        return (uint64_t) (vcpu / 16) << 8 | vcpu % 16;
}

/* What QEMU may have to lock: private memory, at worst as much again as pages of the shared alias, and
 * KCore's tables (RTTs, RECs, the realm descriptor). */
uint64_t guest_locked_memory(uint64_t memory, unsigned vcpus);
