/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware's device tree: what KCore learns from it, and what it makes of it for the host.
 *
 * The host gets an allow-list. A device that KCore does not know is neither in its tree nor in its stage 2: it
 * might write to memory without passing the SMMU.
 */
#include <libfdt.h>

#include "../crypto/crypto.h"
#include "../drivers/log.h"
#include "boot.h"

struct machine machine;

/* Devices the host may drive: none of them is a bus master, but PCIe, which is behind the SMMU. */
static const char *const allowed[] = {
	"arm,pl011", "arm,pl031", "arm,pl061", "arm,gic-v3", "pci-host-ecam-generic",
};

/* Nodes of the root without registers that mean nothing to the bus. */
static const char *const harmless[] = {
	"chosen", "cpus", "aliases", "psci", "timer", "pmu", "memory", "reserved-memory", "apb-pclk", "gpio-keys",
};

/* Two cells of a property, or one. */
static uint64_t cells(const fdt32_t *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v = v << 32 | fdt32_to_cpu(p[i]);
	return v;
}

static bool has_name(const void *fdt, int node, const char *want)
{
	const char *name = fdt_get_name(fdt, node, NULL);
	size_t n = strlen(want);

	return name != NULL && strncmp(name, want, n) == 0 && (name[n] == 0 || name[n] == '@');
}

static bool is_memory(const void *fdt, int node)
{
	const char *type = fdt_getprop(fdt, node, "device_type", NULL);

	return type != NULL && strcmp(type, "memory") == 0;
}

/* Entry i of reg of a node whose parent has these cell counts. */
static bool reg_entry(const void *fdt, int node, int ac, int sc, int i, struct range *r)
{
	int len;
	const fdt32_t *p = fdt_getprop(fdt, node, "reg", &len);

	if (p == NULL || ac < 1 || ac > 2 || sc < 1 || sc > 2 || len < (i + 1) * (ac + sc) * 4)
		return false;
	p += i * (ac + sc);
	r->base = cells(p, ac);
	r->size = cells(p + ac, sc);
	return r->base + r->size >= r->base;
}

static bool root_reg(const void *fdt, int node, int i, struct range *r)
{
	return reg_entry(fdt, node, fdt_address_cells(fdt, 0), fdt_size_cells(fdt, 0), i, r);
}

static int find(const void *fdt, const char *compatible)
{
	return fdt_node_offset_by_compatible(fdt, -1, compatible);
}

static void device_add(uint64_t base, uint64_t size)
{
	if (size == 0)
		return;
	if (machine.devices == MAX_DEVICES)
		panic("too many devices");
	machine.device[machine.devices].base = align_down(base, SZ_4K);
	machine.device[machine.devices].size = align_up(base + size, SZ_4K) - align_down(base, SZ_4K);
	machine.devices++;
}

/* ---- reading ---- */

static void dram_add(uint64_t base, uint64_t end)
{
	uint32_t i;

	base = base == 0 ? SZ_4K : align_up(base, SZ_4K); /* no granule has address 0 */
	end = align_down(end, SZ_4K);
	if (base >= end)
		return;
	if (machine.drams == MAX_BANKS)
		panic("too many banks of memory");
	for (i = machine.drams; i > 0 && machine.dram[i - 1].base > base; i--)
		machine.dram[i] = machine.dram[i - 1];
	machine.dram[i].base = base;
	machine.dram[i].size = end - base;
	machine.drams++;
}

/* No two banks share 2 MiB: the tables of hostmap.c count on it. Neighbours become one bank. */
static void dram_tidy(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < machine.drams; i++) {
		struct range r = machine.dram[i];

		if (n > 0) {
			struct range *last = &machine.dram[n - 1];
			uint64_t end = last->base + last->size;

			if (r.base < end)
				panic("banks of memory overlap at 0x%lx", r.base);
			if (r.base == end) {
				last->size += r.size;
				continue;
			}
			if (align_down(r.base, SZ_2M) < align_up(end, SZ_2M)) {
				uint64_t base = align_up(end, SZ_2M);

				if (base >= r.base + r.size)
					continue;
				r.size -= base - r.base;
				r.base = base;
			}
		}
		machine.dram[n++] = r;
	}
	machine.drams = n;
}

static void read_memory(const void *fdt)
{
	int node;

	fdt_for_each_subnode(node, fdt, 0) {
		struct range r;

		if (!is_memory(fdt, node))
			continue;
		for (int i = 0; root_reg(fdt, node, i, &r); i++)
			dram_add(r.base, r.base + r.size);
	}
	if (machine.drams == 0)
		panic("no memory in the device tree");
	dram_tidy();
	for (int i = 0; i < fdt_num_mem_rsv(fdt); i++) {
		uint64_t base, size;

		if (fdt_get_mem_rsv(fdt, i, &base, &size) == 0)
			busy_add(align_down(base, SZ_4K), align_up(base + size, SZ_4K) - align_down(base, SZ_4K));
	}
	node = fdt_path_offset(fdt, "/reserved-memory");
	if (node >= 0) {
		int ac = fdt_address_cells(fdt, node), sc = fdt_size_cells(fdt, node), child;

		fdt_for_each_subnode(child, fdt, node) {
			struct range r;

			for (int i = 0; reg_entry(fdt, child, ac, sc, i, &r); i++)
				busy_add(align_down(r.base, SZ_4K),
					 align_up(r.base + r.size, SZ_4K) - align_down(r.base, SZ_4K));
		}
	}
}

static void read_cpus(const void *fdt)
{
	int cpus = fdt_path_offset(fdt, "/cpus"), node, ac;

	if (cpus < 0)
		panic("no /cpus in the device tree");
	ac = fdt_address_cells(fdt, cpus);
	fdt_for_each_subnode(node, fdt, cpus) {
		const char *type = fdt_getprop(fdt, node, "device_type", NULL);
		int len;
		const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &len);

		if (type == NULL || strcmp(type, "cpu") != 0 || reg == NULL || len < 4 * ac)
			continue;
		if (machine.cpus == MAX_CPUS)
			panic("more than %u CPUs", (uint32_t)MAX_CPUS);
		machine.mpidr[machine.cpus++] = cells(reg, ac);
	}
}

static void stream_add(uint32_t base, uint32_t count)
{
	if (machine.streamss == MAX_STREAMS)
		panic("too many streams");
	machine.stream[machine.streamss].base = base;
	machine.stream[machine.streamss].count = count;
	machine.streamss++;
}

static void read_pcie(const void *fdt, int node, uint32_t smmu)
{
	struct range r;
	int len, ac, sc;
	const fdt32_t *p;

	/* ranges: 3 cells of PCI address, ours, then the size: CPU addresses of the windows. */
	ac = fdt_address_cells(fdt, 0);
	sc = fdt_size_cells(fdt, node);
	p = fdt_getprop(fdt, node, "ranges", &len);
	for (int n = 0; p != NULL && n + 4 * (3 + ac + sc) <= len; n += 4 * (3 + ac + sc), p += 3 + ac + sc)
		device_add(cells(p + 3, ac), cells(p + 3 + ac, sc));
	for (int i = 0; root_reg(fdt, node, i, &r); i++)
		device_add(r.base, r.size);

	p = fdt_getprop(fdt, node, "iommu-map", &len);
	for (int n = 0; p != NULL && n + 16 <= len; n += 16, p += 4) {
		if (fdt32_to_cpu(p[1]) == smmu)
			stream_add(fdt32_to_cpu(p[2]), fdt32_to_cpu(p[3]));
	}
}

static void read_devices(const void *fdt)
{
	struct range r;
	uint32_t smmu = 0;
	int node;

	for (node = find(fdt, "arm,smmu-v3"); node >= 0;
	     node = fdt_node_offset_by_compatible(fdt, node, "arm,smmu-v3")) {
		if (machine.smmus++ == 0 && root_reg(fdt, node, 0, &r)) {
			machine.smmu = r.base;
			smmu = fdt_get_phandle(fdt, node);
		}
	}
	node = find(fdt, "arm,gic-v3");
	if (node < 0 || !root_reg(fdt, node, 0, &r))
		panic("no GICv3 in the device tree");
	machine.gicd = r.base;
	device_add(r.base, r.size);
	if (!root_reg(fdt, node, 1, &r))
		panic("no redistributors in the device tree");
	machine.gicr = r.base;
	machine.gicr_size = r.size;
	if (root_reg(fdt, node, 2, &r) && fdt_getprop(fdt, node, "#redistributor-regions", NULL) != NULL) {
		const fdt32_t *n = fdt_getprop(fdt, node, "#redistributor-regions", NULL);

		if (fdt32_to_cpu(*n) > 1)
			log_line("only the first redistributor region is used");
	}
	for (uint32_t i = 0; i < 3; i++) {
		for (node = find(fdt, allowed[i]); node >= 0;
		     node = fdt_node_offset_by_compatible(fdt, node, allowed[i])) {
			if (root_reg(fdt, node, 0, &r))
				device_add(r.base, r.size);
		}
	}
	for (node = find(fdt, "pci-host-ecam-generic"); node >= 0;
	     node = fdt_node_offset_by_compatible(fdt, node, "pci-host-ecam-generic"))
		read_pcie(fdt, node, smmu);
}

/* Kind by compatible, or, as GRUB writes it, by order: kernel first, then initrd. */
static void read_modules(const void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen"), node;
	struct module *todo[2] = { &machine.kernel, &machine.initrd };

	if (chosen < 0)
		panic("no /chosen in the device tree");
	fdt_for_each_subnode(node, fdt, chosen) {
		struct module *m = NULL;
		struct range r;
		const char *args;
		int len;

		if (fdt_node_check_compatible(fdt, node, "multiboot,module") != 0)
			continue;
		/* QEMU and GRUB write two cells each, QEMU without saying so. */
		if (!reg_entry(fdt, node, 2, 2, 0, &r))
			continue;
		if (fdt_node_check_compatible(fdt, node, "multiboot,kernel") == 0)
			m = &machine.kernel;
		else if (fdt_node_check_compatible(fdt, node, "multiboot,ramdisk") == 0)
			m = &machine.initrd;
		for (int i = 0; m == NULL && i < 2; i++) {
			if (todo[i]->size == 0)
				m = todo[i];
		}
		if (m == NULL || m->size != 0) {
			log_line("boot module at 0x%lx ignored", r.base);
			continue;
		}
		m->base = r.base;
		m->size = r.size;
		busy_add(align_down(r.base, SZ_4K), align_up(r.base + r.size, SZ_4K) - align_down(r.base, SZ_4K));
		args = fdt_getprop(fdt, node, "bootargs", &len);
		for (int i = 0; args != NULL && i < len && args[i] != 0 && i < (int)sizeof(m->args) - 1; i++)
			m->args[i] = args[i];
	}
	if (machine.kernel.size == 0)
		panic("no host kernel: pass one as a boot module (multiboot,module)");
}

static void read_handover(const void *fdt)
{
	int node = find(fdt, "google,open-dice"), parent;

	if (node < 0)
		return;
	parent = fdt_parent_offset(fdt, node);
	if (!reg_entry(fdt, node, fdt_address_cells(fdt, parent), fdt_size_cells(fdt, parent), 0, &machine.dice))
		log_line("the google,open-dice node has no memory");
}

static const char *const seeds[] = { "rng-seed", "kaslr-seed" };

/* The random seeds for the kernel are KCore's; the host must not find them in the firmware's tree either. */
static void take_seeds(void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen");
	struct sha2 s;

	sha2_begin(&s, SHA512);
	for (int i = 0; i < 2; i++) {
		int len;
		void *seed = fdt_getprop_w(fdt, chosen, seeds[i], &len);

		if (seed == NULL)
			continue;
		sha2_add(&s, seed, (uint32_t)len);
		wipe(seed, (uint32_t)len);
	}
	sha2_end(&s, machine.seed);
}

/* Is this one of the words of the boot options? */
static bool option(const void *fdt, const char *word)
{
	const char *at = fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "bootargs", NULL);
	size_t n = strlen(word);

	while (at != NULL && *at != 0) {
		if (strncmp(at, word, n) == 0 && (at[n] == 0 || at[n] == ' '))
			return true;
		at = strchr(at, ' ');
		while (at != NULL && *at == ' ')
			at++;
	}
	return false;
}

void fdt_read(uint64_t dtb)
{
	const void *fdt = (const void *)dtb;
	const char *method;
	struct range r;
	int node;

	if (fdt_check_header(fdt) != 0)
		panic("no device tree at 0x%lx", dtb);
	node = find(fdt, "arm,pl011");
	if (node >= 0 && root_reg(fdt, node, 0, &r)) {
		machine.uart = r.base;
		if (mmu_early_device(r.base))
			uart_init(r.base);
	}
	if (option(fdt, "panic=reset"))
		log_panic_resets();
	read_memory(fdt);
	busy_add(align_down(dtb, SZ_4K), align_up(dtb + fdt_totalsize(fdt), SZ_4K) - align_down(dtb, SZ_4K));
	read_cpus(fdt);
	read_devices(fdt);
	read_modules(fdt);
	read_handover(fdt);
	take_seeds((void *)dtb);
	machine.token_cmw = option(fdt, "token=cmw");
	node = find(fdt, "arm,psci-0.2");
	method = node < 0 ? NULL : fdt_getprop(fdt, node, "method", NULL);
	machine.psci_smc = method != NULL && strcmp(method, "smc") == 0;
}

/* ---- writing ---- */

static void must(int err, const char *what)
{
	if (err < 0)
		panic("device tree: %s: %s", what, fdt_strerror(err));
}

static bool keep(const void *fdt, int node)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (fdt_node_check_compatible(fdt, node, allowed[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		if (has_name(fdt, node, harmless[i]))
			return true;
	}
	return false;
}

/* Deletes all subnodes for which the predicate does not hold. */
static void prune(void *fdt, int parent, bool (*hold)(const void *, int))
{
	int node = fdt_first_subnode(fdt, parent);

	while (node >= 0) {
		if (hold(fdt, node)) {
			node = fdt_next_subnode(fdt, node);
		} else {
			must(fdt_del_node(fdt, node), "delete");
			node = fdt_first_subnode(fdt, parent);
		}
	}
}

static bool keep_none(const void *fdt, int node)
{
	(void)fdt;
	(void)node;
	return false;
}

static bool keep_no_memory(const void *fdt, int node)
{
	return !is_memory(fdt, node);
}

static bool keep_no_module(const void *fdt, int node)
{
	return fdt_node_check_compatible(fdt, node, "multiboot,module") != 0;
}

/* All of DRAM but KCore's own, as one node. */
static void write_memory(void *fdt)
{
	int node;

	prune(fdt, 0, keep_no_memory);
	node = fdt_add_subnode(fdt, 0, "memory");
	must(node, "memory");
	must(fdt_setprop_string(fdt, node, "device_type", "memory"), "memory");
	for (uint32_t i = 0; i < machine.drams; i++) {
		uint64_t a = machine.dram[i].base, end = a + machine.dram[i].size;

		while (a < end) {
			uint64_t stop = end;
			bool core = false;

			for (int c = 0; c < 2; c++) {
				const struct range *r = &machine.core[c];

				if (a >= r->base && a < r->base + r->size) {
					core = true;
					stop = r->base + r->size;
				} else if (r->base > a && r->base < stop && !core) {
					stop = r->base;
				}
			}
			if (!core) {
				must(fdt_appendprop_u64(fdt, node, "reg", a), "memory");
				must(fdt_appendprop_u64(fdt, node, "reg", stop - a), "memory");
			}
			a = stop;
		}
	}
}

static void write_chosen(void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen");

	prune(fdt, chosen, keep_no_module);
	for (int i = 0; i < 2; i++) {
		int len;
		uint8_t *seed = fdt_getprop_w(fdt, chosen, seeds[i], &len);

		for (int n = 0; seed != NULL && n < len; n++)
			seed[n] = machine.seed[(32 * i + n) % 64];
	}
	must(fdt_setprop_string(fdt, chosen, "bootargs", machine.kernel.args), "bootargs");
	if (machine.initrd.size != 0) {
		must(fdt_setprop_u64(fdt, chosen, "linux,initrd-start", machine.initrd.base), "initrd");
		must(fdt_setprop_u64(fdt, chosen, "linux,initrd-end", machine.initrd.base + machine.initrd.size),
		     "initrd");
	}
}

void fdt_write(uint64_t dtb, uint64_t out, uint64_t room)
{
	void *fdt = (void *)out;
	int node;

	must(fdt_open_into((const void *)dtb, fdt, (int)room), "open");
	if (fdt_address_cells(fdt, 0) != 2 || fdt_size_cells(fdt, 0) != 2)
		panic("device tree: the root does not have two cells");
	write_memory(fdt);
	prune(fdt, 0, keep);
	node = find(fdt, "arm,gic-v3");
	prune(fdt, node, keep_none); /* ITS */
	node = find(fdt, "pci-host-ecam-generic");
	while (node >= 0) {
		fdt_delprop(fdt, node, "iommu-map");
		fdt_delprop(fdt, node, "iommu-map-mask");
		fdt_delprop(fdt, node, "msi-map");
		fdt_delprop(fdt, node, "msi-parent");
		node = fdt_node_offset_by_compatible(fdt, node, "pci-host-ecam-generic");
	}
	node = find(fdt, "google,open-dice");
	if (node >= 0)
		must(fdt_del_node(fdt, node), "hand-over");
	write_chosen(fdt);
	must(fdt_pack(fdt), "pack");
}
