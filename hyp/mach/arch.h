/* SPDX-License-Identifier: Apache-2.0 */
/* AArch64 instructions and bit names that trusted code uses. */
#ifndef KCORE_ARCH_H
#define KCORE_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SZ_4K 0x1000UL
#define SZ_64K 0x10000UL
#define SZ_2M 0x200000UL
#define SZ_1G 0x40000000UL

#define read_sysreg(r)                                                 \
	({                                                             \
		uint64_t v_;                                           \
		__asm__ volatile("mrs %0, " #r : "=r"(v_));            \
		v_;                                                    \
	})
#define write_sysreg(r, v) __asm__ volatile("msr " #r ", %0" : : "r"((uint64_t)(v)))

#define isb() __asm__ volatile("isb" : : : "memory")
#define dsb(o) __asm__ volatile("dsb " #o : : : "memory")
#define dmb(o) __asm__ volatile("dmb " #o : : : "memory")
#define wfi() __asm__ volatile("wfi" : : : "memory")
#define wfe() __asm__ volatile("wfe" : : : "memory")

static inline uint32_t mmio_r32(uint64_t pa)
{
	uint32_t v;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(pa) : "memory");
	return v;
}

static inline void mmio_w32(uint64_t pa, uint32_t v)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(v), "r"(pa) : "memory");
}

static inline uint64_t mmio_r64(uint64_t pa)
{
	uint64_t v;

	__asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(pa) : "memory");
	return v;
}

static inline void mmio_w64(uint64_t pa, uint64_t v)
{
	__asm__ volatile("str %0, [%1]" : : "r"(v), "r"(pa) : "memory");
}

/* One ID register field of four bits. */
static inline uint64_t id_field(uint64_t reg, unsigned int lsb)
{
	return (reg >> lsb) & 0xf;
}

static inline uint64_t align_up(uint64_t v, uint64_t a)
{
	return (v + a - 1) & ~(a - 1);
}

static inline uint64_t align_down(uint64_t v, uint64_t a)
{
	return v & ~(a - 1);
}

#define HCR_VM (1UL << 0)
#define HCR_SWIO (1UL << 1)
#define HCR_PTW (1UL << 2)
#define HCR_FMO (1UL << 3)
#define HCR_IMO (1UL << 4)
#define HCR_AMO (1UL << 5)
#define HCR_VSE (1UL << 8)
#define HCR_FB (1UL << 9)
#define HCR_BSU_IS (1UL << 10)
#define HCR_TWI (1UL << 13)
#define HCR_TWE (1UL << 14)
#define HCR_TID3 (1UL << 18)
#define HCR_TSC (1UL << 19)
#define HCR_TIDCP (1UL << 20)
#define HCR_TACR (1UL << 21)
#define HCR_RW (1UL << 31)
#define HCR_TLOR (1UL << 35)
#define HCR_TERR (1UL << 36)
#define HCR_TEA (1UL << 37)
#define HCR_APK (1UL << 40)
#define HCR_API (1UL << 41)

#define ESR_EC(esr) (((esr) >> 26) & 0x3f)
#define EC_UNKNOWN 0x00
#define EC_WFX 0x01
#define EC_FP 0x07
#define EC_HVC64 0x16
#define EC_SMC64 0x17
#define EC_SYSREG 0x18
#define EC_SVE 0x19
#define EC_IABT_LOW 0x20
#define EC_DABT_LOW 0x24

#define PSTATE_EL1H_DAIF 0x3c5UL
#define SCTLR_EL1_RESET 0x30d00800UL

#endif
