/* SPDX-License-Identifier: Apache-2.0 */
#include "fdt-build.h"

#include <ctype.h>
#include <inttypes.h>
#include <libfdt.h>

#include "guest-config.h"

enum {
        PHANDLE_GIC = 1,
        PHANDLE_CLOCK,
        PHANDLE_GPIO,
};

#define GIC_SPI 0
#define GIC_PPI 1
#define IRQ_TYPE_LEVEL_HIGH 4

#define GPIO_POWER_KEY 3 /* line of the PL061 that QEMU pulses for "system_powerdown" */
#define KEY_POWER 116

/* The sequential-write functions of libfdt stick at the first error of ours: each step is skipped after a
 * failure, and the caller looks once at the end. */
struct builder {
        void *fdt;
        int error;
        bool too_long; /* the command line */
};

#define STEP(b, call)                           \
        do {                                    \
                if ((b)->error == 0)            \
                        (b)->error = (call);    \
        } while (0)

static void begin(struct builder *b, const char *name) {
        STEP(b, fdt_begin_node(b->fdt, name));
}

static void end(struct builder *b) {
        STEP(b, fdt_end_node(b->fdt));
}

static void prop_string(struct builder *b, const char *name, const char *value) {
        STEP(b, fdt_property_string(b->fdt, name, value));
}

static void prop_u32(struct builder *b, const char *name, uint32_t value) {
        STEP(b, fdt_property_u32(b->fdt, name, value));
}

static void prop_u64(struct builder *b, const char *name, uint64_t value) {
        STEP(b, fdt_property_u64(b->fdt, name, value));
}

static void prop_empty(struct builder *b, const char *name) {
        STEP(b, fdt_property(b->fdt, name, NULL, 0));
}

static void prop_cells(struct builder *b, const char *name, const uint32_t *cells, size_t n) {
        fdt32_t be[256];

        if (n > ELEMENTSOF(be)) {
                b->error = -FDT_ERR_NOSPACE;
                return;
        }
        for (size_t i = 0; i < n; i++)
                be[i] = cpu_to_fdt32(cells[i]);
        STEP(b, fdt_property(b->fdt, name, be, (int) (n * sizeof(be[0]))));
}

#define PROP_CELLS(b, name, ...)                                                        \
        do {                                                                            \
                const uint32_t _cells[] = { __VA_ARGS__ };                              \
                prop_cells((b), (name), _cells, ELEMENTSOF(_cells));                    \
        } while (0)

/* Two cells of an address or size. */
#define CELLS64(x) (uint32_t) ((uint64_t) (x) >> 32), (uint32_t) (uint64_t) (x)

/* A "compatible" list is strings with their NULs, one after the other. */
#define PROP_STRINGS(b, name, literal) STEP(b, fdt_property((b)->fdt, (name), (literal), sizeof(literal)))

/* Is there an option of this name, up to and with its "=", among the kernel's own on its command line? Words are as
 * Linux takes them: quotes hold spaces, and what follows "--" is for init. */
static bool has_option(const char *args, const char *option) {
        for (const char *p = strempty(args); *p;) {
                const char *word = p;

                for (bool quoted = false; *p && (quoted || !isspace((unsigned char) *p)); p++)
                        quoted ^= *p == '"';
                if (p - word == 2 && strncmp(word, "--", 2) == 0)
                        return false;
                word += *word == '"';
                if (strncmp(word, option, strlen(option)) == 0)
                        return true;
                while (isspace((unsigned char) *p))
                        p++;
        }
        return false;
}

/* All of a realm's device I/O goes through Linux's bounce buffers, which it sizes for machines that hardly
 * ever use them (1/1024 of memory): a disk's first large request would wait for ever. In slots of 2 KiB.
 * Linux takes its own default, 32768, for "not given", so that number is avoided. */
static uint64_t swiotlb_slots(uint64_t ram_size) {
        uint64_t size = ram_size / 16;

        if (size < 8 * MIB)
                size = 8 * MIB;
        if (size > 256 * MIB)
                size = 256 * MIB;
        return size == 64 * MIB ? 32768 + 128 : size / (2 * KIB);
}

static void chosen(struct builder *b, const struct fdt_input *in) {
        const struct guest_layout *l = in->layout;
        _cleanup_free_ char *args = NULL;
        char earlycon[64] = "", swiotlb[32] = "";

        /* What is added stands in front, where no "--" precedes it.
         * Before Linux knows that it is a realm it maps the early console at the address it is told:
         * devices answer at their unprotected alias only. */
        if (in->earlycon)
                snprintf(earlycon, sizeof(earlycon), "earlycon=pl011,mmio32,0x%" PRIx64 " ",
                         VIRT_UART_BASE | l->shared_offset);
        if (!has_option(in->bootargs, "swiotlb="))
                snprintf(swiotlb, sizeof(swiotlb), "swiotlb=%" PRIu64 "%s", swiotlb_slots(l->ram_size),
                         isempty(in->bootargs) ? "" : " ");
        if (asprintf(&args, "%s%s%s", earlycon, swiotlb, strempty(in->bootargs)) < 0) {
                args = NULL;
                b->error = -FDT_ERR_NOSPACE;
                return;
        }
        b->too_long |= strlen(args) > GUEST_APPEND_MAX; /* Linux would cut it off */

        begin(b, "chosen");
        prop_string(b, "bootargs", args);
        prop_string(b, "stdout-path", "/pl011@9000000");
        if (l->initrd_size > 0) {
                prop_u64(b, "linux,initrd-start", l->initrd);
                prop_u64(b, "linux,initrd-end", l->initrd + l->initrd_size);
        }
        end(b);
}

static void memory(struct builder *b, const struct guest_layout *l) {
        char name[32];

        snprintf(name, sizeof(name), "memory@%" PRIx64, l->ram_base);
        begin(b, name);
        prop_string(b, "device_type", "memory");
        PROP_CELLS(b, "reg", CELLS64(l->ram_base), CELLS64(l->ram_size));
        end(b);
}

static void cpus(struct builder *b, unsigned vcpus) {
        begin(b, "cpus");
        prop_u32(b, "#address-cells", 1);
        prop_u32(b, "#size-cells", 0);
        for (unsigned i = 0; i < vcpus; i++) {
                uint32_t mpidr = (uint32_t) guest_mpidr(i);
                char name[24];

                snprintf(name, sizeof(name), "cpu@%" PRIx32, mpidr);
                begin(b, name);
                prop_string(b, "device_type", "cpu");
                prop_string(b, "compatible", "arm,armv8");
                prop_u32(b, "reg", mpidr);
                prop_string(b, "enable-method", "psci");
                end(b);
        }
        end(b);
}

static void psci_and_timer(struct builder *b) {
        begin(b, "psci");
        PROP_STRINGS(b, "compatible", "arm,psci-1.0\0arm,psci-0.2");
        prop_string(b, "method", "smc");
        end(b);

        begin(b, "timer");
        PROP_STRINGS(b, "compatible", "arm,armv8-timer\0arm,armv7-timer");
        prop_empty(b, "always-on");
        PROP_CELLS(b, "interrupts",
                   GIC_PPI, VIRT_PPI_TIMER_SECURE, IRQ_TYPE_LEVEL_HIGH,
                   GIC_PPI, VIRT_PPI_TIMER_PHYS, IRQ_TYPE_LEVEL_HIGH,
                   GIC_PPI, VIRT_PPI_TIMER_VIRT, IRQ_TYPE_LEVEL_HIGH,
                   GIC_PPI, VIRT_PPI_TIMER_HYP, IRQ_TYPE_LEVEL_HIGH);
        end(b);
}

static void interrupt_controller(struct builder *b) {
        begin(b, "intc@8000000");
        prop_string(b, "compatible", "arm,gic-v3");
        prop_empty(b, "interrupt-controller");
        prop_u32(b, "#interrupt-cells", 3);
        prop_u32(b, "#address-cells", 2);
        prop_u32(b, "#size-cells", 2);
        prop_empty(b, "ranges");
        prop_u32(b, "#redistributor-regions", 1);
        PROP_CELLS(b, "reg",
                   CELLS64(VIRT_GICD_BASE), CELLS64(VIRT_GICD_SIZE),
                   CELLS64(VIRT_GICR_BASE), CELLS64(VIRT_GICR_SIZE));
        prop_u32(b, "phandle", PHANDLE_GIC);
        end(b);
}

static void peripherals(struct builder *b) {
        begin(b, "apb-pclk");
        prop_string(b, "compatible", "fixed-clock");
        prop_u32(b, "#clock-cells", 0);
        prop_u32(b, "clock-frequency", 24000000);
        prop_string(b, "clock-output-names", "clk24mhz");
        prop_u32(b, "phandle", PHANDLE_CLOCK);
        end(b);

        begin(b, "pl011@9000000");
        PROP_STRINGS(b, "compatible", "arm,pl011\0arm,primecell");
        PROP_CELLS(b, "reg", CELLS64(VIRT_UART_BASE), CELLS64(GUEST_PAGE_SIZE));
        PROP_CELLS(b, "interrupts", GIC_SPI, VIRT_SPI_UART, IRQ_TYPE_LEVEL_HIGH);
        PROP_CELLS(b, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
        PROP_STRINGS(b, "clock-names", "uartclk\0apb_pclk");
        end(b);

        begin(b, "pl031@9010000");
        PROP_STRINGS(b, "compatible", "arm,pl031\0arm,primecell");
        PROP_CELLS(b, "reg", CELLS64(VIRT_RTC_BASE), CELLS64(GUEST_PAGE_SIZE));
        PROP_CELLS(b, "interrupts", GIC_SPI, VIRT_SPI_RTC, IRQ_TYPE_LEVEL_HIGH);
        prop_u32(b, "clocks", PHANDLE_CLOCK);
        prop_string(b, "clock-names", "apb_pclk");
        end(b);

        begin(b, "pl061@9030000");
        PROP_STRINGS(b, "compatible", "arm,pl061\0arm,primecell");
        PROP_CELLS(b, "reg", CELLS64(VIRT_GPIO_BASE), CELLS64(GUEST_PAGE_SIZE));
        PROP_CELLS(b, "interrupts", GIC_SPI, VIRT_SPI_GPIO, IRQ_TYPE_LEVEL_HIGH);
        prop_u32(b, "#gpio-cells", 2);
        prop_empty(b, "gpio-controller");
        prop_u32(b, "clocks", PHANDLE_CLOCK);
        prop_string(b, "clock-names", "apb_pclk");
        prop_u32(b, "phandle", PHANDLE_GPIO);
        end(b);

        /* "kcorectl stop" presses this key. */
        begin(b, "gpio-keys");
        prop_string(b, "compatible", "gpio-keys");
        begin(b, "poweroff");
        prop_string(b, "label", "GPIO Key Poweroff");
        prop_u32(b, "linux,code", KEY_POWER);
        PROP_CELLS(b, "gpios", PHANDLE_GPIO, GPIO_POWER_KEY, 0);
        end(b);
        end(b);
}

static void pcie(struct builder *b) {
        uint32_t map[4 * 4 * 10];
        size_t n = 0;

        /* The usual swizzle: pin p of slot s is wired to INTx (s + p) mod 4. */
        for (uint32_t slot = 0; slot < 4; slot++)
                for (uint32_t pin = 0; pin < 4; pin++) {
                        const uint32_t row[10] = {
                                slot << 11, 0, 0, pin + 1,
                                PHANDLE_GIC, 0, 0,
                                GIC_SPI, VIRT_SPI_PCIE_INTA + (slot + pin) % 4, IRQ_TYPE_LEVEL_HIGH,
                        };

                        memcpy(map + n, row, sizeof(row));
                        n += ELEMENTSOF(row);
                }

        begin(b, "pcie@10000000");
        prop_string(b, "compatible", "pci-host-ecam-generic");
        prop_string(b, "device_type", "pci");
        prop_u32(b, "#address-cells", 3);
        prop_u32(b, "#size-cells", 2);
        prop_u32(b, "#interrupt-cells", 1);
        prop_u32(b, "linux,pci-domain", 0);
        PROP_CELLS(b, "bus-range", 0, VIRT_PCIE_ECAM_SIZE / MIB - 1);
        prop_empty(b, "dma-coherent");
        PROP_CELLS(b, "reg", CELLS64(VIRT_PCIE_ECAM_BASE), CELLS64(VIRT_PCIE_ECAM_SIZE));
        PROP_CELLS(b, "ranges",
                   0x01000000, CELLS64(0), CELLS64(VIRT_PCIE_PIO_BASE), CELLS64(VIRT_PCIE_PIO_SIZE),
                   0x02000000, CELLS64(VIRT_PCIE_MMIO_BASE), CELLS64(VIRT_PCIE_MMIO_BASE), CELLS64(VIRT_PCIE_MMIO_SIZE));
        PROP_CELLS(b, "interrupt-map-mask", 0x1800, 0, 0, 7);
        prop_cells(b, "interrupt-map", map, n);
        end(b);
}

int guest_fdt_build(const struct fdt_input *in, void **ret, size_t *ret_size) {
        _cleanup_free_ void *fdt = NULL;
        struct builder b = {};

        fdt = calloc(1, GUEST_DTB_MAX);
        if (!fdt)
                return -ENOMEM;
        b.fdt = fdt;

        STEP(&b, fdt_create(fdt, (int) GUEST_DTB_MAX));
        STEP(&b, fdt_finish_reservemap(fdt));
        begin(&b, "");
        prop_string(&b, "model", "linux,dummy-virt");
        prop_string(&b, "compatible", "linux,dummy-virt");
        prop_u32(&b, "#address-cells", 2);
        prop_u32(&b, "#size-cells", 2);
        prop_u32(&b, "interrupt-parent", PHANDLE_GIC);
        prop_empty(&b, "dma-coherent");
        chosen(&b, in);
        memory(&b, in->layout);
        cpus(&b, in->vcpus);
        psci_and_timer(&b);
        interrupt_controller(&b);
        peripherals(&b);
        pcie(&b);
        end(&b);
        STEP(&b, fdt_finish(fdt));

        if (b.too_long)
                return -E2BIG;
        if (b.error != 0)
                return b.error == -FDT_ERR_NOSPACE ? -ENOSPC : -EINVAL;
        *ret_size = fdt_totalsize(fdt);
        *ret = TAKE_PTR(fdt);
        return 0;
}
