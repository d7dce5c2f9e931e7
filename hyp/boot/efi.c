/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From UEFI to the start without firmware (UEFI specification 2.10). The boot loader has put a device tree with
 * boot modules into the configuration table. This puts KCore's image, the modules and the tree where they can stay,
 * writes the memory that UEFI leaves into the tree, and starts the image as if somebody had loaded it there.
 *
 * A machine that KCore can not run on is refused before anything is given up: the status goes to the boot loader,
 * which goes on to another system. As this code runs before that start, it has no variables but locals.
 */
#include <libfdt.h>

#include "../include/psci.h"
#include "../mach/relay.h"
#include "boot.h"

#define EFI_SUCCESS 0UL
#define EFI_LOAD_ERROR (1UL << 63 | 1)
#define EFI_INVALID_PARAMETER (1UL << 63 | 2)
#define EFI_UNSUPPORTED (1UL << 63 | 3)
#define EFI_OUT_OF_RESOURCES (1UL << 63 | 9)

enum efi_memory {
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_CODE = 3,
	EFI_BOOT_DATA = 4,
	EFI_CONVENTIONAL = 7,
	EFI_ACPI_RECLAIM = 9,
};

struct efi_guid {
	uint32_t a;
	uint16_t b, c;
	uint8_t d[8];
};

struct efi_region {
	uint32_t type;
	uint64_t base;
	uint64_t virt;
	uint64_t pages;
	uint64_t attributes;
};

/* Only the services that are called have a type. */
struct efi_boot_services {
	uint8_t header[24];
	void *tpl[2];
	uint64_t (*allocate_pages)(uint64_t how, uint64_t type, uint64_t pages, uint64_t *base);
	void *free_pages;
	uint64_t (*get_memory_map)(uint64_t *size, void *map, uint64_t *key, uint64_t *region_size, uint32_t *version);
	void *pool[2];
	void *events[6];
	void *protocols[6];
	void *locate[2];
	uint64_t (*install_configuration_table)(const struct efi_guid *id, void *table);
	void *images[4];
	uint64_t (*exit_boot_services)(void *image, uint64_t key);
};

struct efi_text_output {
	void *reset;
	uint64_t (*output_string)(struct efi_text_output *out, const uint16_t *text);
};

struct efi_configuration {
	struct efi_guid id;
	void *table;
};

struct efi_system_table {
	uint8_t header[24];
	void *vendor;
	uint32_t revision;
	void *in_handle, *in;
	void *out_handle;
	struct efi_text_output *out;
	void *error_handle, *error;
	void *runtime;
	struct efi_boot_services *boot;
	uint64_t configurations;
	struct efi_configuration *configuration;
};

_Static_assert(offsetof(struct efi_boot_services, allocate_pages) == 40, "UEFI 4.4");
_Static_assert(offsetof(struct efi_boot_services, install_configuration_table) == 192, "UEFI 4.4");
_Static_assert(offsetof(struct efi_boot_services, exit_boot_services) == 232, "UEFI 4.4");
_Static_assert(offsetof(struct efi_system_table, configuration) == 112, "UEFI 4.3");

uint64_t efi_main(void *image, struct efi_system_table *system);
_Noreturn void efi_leave(uint64_t dtb, uint64_t start);

#define FDT_ROOM 0x40000UL /* what the tree may grow by, and its end */
#define MAP_SIZE 0x20000UL
#define IMAGE_MAGIC 0x644d5241u /* "ARM\x64" at offset 56 */

static void print(const struct efi_system_table *system, const char *text)
{
	uint16_t wide[2] = { 0, 0 };

	for (; *text != 0; text++) {
		wide[0] = (uint8_t)*text;
		system->out->output_string(system->out, wide);
	}
}

static const struct efi_guid *fdt_id(struct efi_guid *id)
{
	/* b1b621d5-f19c-41a5-830b-d9152c69aae0 */
	*id = (struct efi_guid){ 0xb1b621d5, 0xf19c, 0x41a5, { 0x83, 0x0b, 0xd9, 0x15, 0x2c, 0x69, 0xaa, 0xe0 } };
	return id;
}

static void *find_fdt(const struct efi_system_table *system)
{
	struct efi_guid id;

	fdt_id(&id);
	for (uint64_t i = 0; i < system->configurations; i++) {
		if (memcmp(&system->configuration[i].id, &id, sizeof(id)) == 0)
			return system->configuration[i].table;
	}
	return NULL;
}

static int next_module(const void *fdt, int node)
{
	int chosen = fdt_path_offset(fdt, "/chosen");

	if (chosen < 0)
		return -1;
	node = node < 0 ? fdt_first_subnode(fdt, chosen) : fdt_next_subnode(fdt, node);
	while (node >= 0 && fdt_node_check_compatible(fdt, node, "multiboot,module") != 0)
		node = fdt_next_subnode(fdt, node);
	return node;
}

static struct range module_range(const void *fdt, int node)
{
	struct range r = { 0, 0 };
	int len;
	const fdt32_t *p = fdt_getprop(fdt, node, "reg", &len);

	if (p != NULL && len == 16) {
		r.base = (uint64_t)fdt32_to_cpu(p[0]) << 32 | fdt32_to_cpu(p[1]);
		r.size = (uint64_t)fdt32_to_cpu(p[2]) << 32 | fdt32_to_cpu(p[3]);
	}
	return r;
}

static bool is_kernel(const struct range *r)
{
	return r->size >= 64 && *(const uint32_t *)(r->base + 56) == IMAGE_MAGIC;
}

/* With what a kernel says that it needs behind itself. */
static uint64_t module_room(const struct range *r)
{
	uint64_t size = r->size;

	if (is_kernel(r) && *(const uint64_t *)(r->base + 16) > size)
		size = *(const uint64_t *)(r->base + 16);
	return align_up(size, SZ_2M);
}

/* Why KCore can not run here; NULL if it can, as far as that can be told now. */
static const char *unfit(const void *fdt)
{
	struct range kernel;
	const char *method;
	int node;

	if ((read_sysreg(CurrentEL) >> 2 & 3) != 2)
		return "the firmware started it at EL1: switch on virtualization";
	if (fdt == NULL || fdt_check_header(fdt) != 0 || fdt_path_offset(fdt, "/cpus") < 0)
		return "this machine describes itself by ACPI; KCore needs a device tree";
	if (fdt_node_offset_by_compatible(fdt, -1, "arm,gic-v3") < 0)
		return "this machine has no GICv3";
	node = fdt_node_offset_by_compatible(fdt, -1, "arm,psci-0.2");
	method = node < 0 ? NULL : fdt_getprop(fdt, node, "method", NULL);
	if (method == NULL || strcmp(method, "smc") != 0)
		return "this machine has no PSCI with method smc";
	node = next_module(fdt, -1);
	if (node < 0)
		return "no host kernel: pass one as a boot module (xen_module)";
	kernel = module_range(fdt, node);
	if (!is_kernel(&kernel))
		return "the first boot module is not an (uncompressed) arm64 Image";
	return NULL;
}

/*
 * The boot loader frees its tree and leaves it in the configuration table (GRUB 2.12): the next system would be
 * started with whatever is there then. So it gets a copy, without the modules; or none, if the tree was made for
 * them alone.
 */
static void give_back(const struct efi_system_table *system, const void *fdt)
{
	struct efi_guid id;
	uint64_t base = 0, size;
	int node;

	if (fdt == NULL || fdt_check_header(fdt) != 0)
		return;
	size = fdt_totalsize(fdt);
	if (fdt_path_offset(fdt, "/cpus") < 0 ||
	    system->boot->allocate_pages(0, EFI_ACPI_RECLAIM, align_up(size, SZ_4K) / SZ_4K, &base) != EFI_SUCCESS ||
	    fdt_move(fdt, (void *)base, (int)size) != 0) {
		system->boot->install_configuration_table(fdt_id(&id), NULL);
		return;
	}
	while ((node = next_module((void *)base, -1)) >= 0)
		fdt_nop_node((void *)base, node);
	system->boot->install_configuration_table(fdt_id(&id), (void *)base);
}

static uint64_t refuse(const struct efi_system_table *system, const void *fdt, const char *why, uint64_t status)
{
	print(system, "KCore: can not start: ");
	print(system, why);
	print(system, "\r\n");
	give_back(system, fdt);
	return status;
}

/* Nothing UEFI keeps, and nothing that is not memory. */
static bool usable(const struct efi_region *r)
{
	switch (r->type) {
	case EFI_LOADER_CODE:
	case EFI_LOADER_DATA:
	case EFI_BOOT_CODE:
	case EFI_BOOT_DATA:
	case EFI_CONVENTIONAL:
	case EFI_ACPI_RECLAIM:
		return true;
	default:
		return false;
	}
}

struct map {
	uint64_t base, size, region_size, key;
};

/* The lowest usable bank of whole 2 MiB blocks from address on; size 0: none. The map is in no order. */
static struct range next_bank(const struct map *m, uint64_t from)
{
	struct range bank = { ~0UL, 0 };
	uint64_t end;
	bool more = true;

	for (uint64_t a = m->base; a + m->region_size <= m->base + m->size; a += m->region_size) {
		const struct efi_region *r = (const struct efi_region *)a;

		if (usable(r) && r->base >= from && r->base < bank.base) {
			bank.base = r->base;
			bank.size = r->pages * SZ_4K;
		}
	}
	if (bank.size == 0)
		return bank;
	end = bank.base + bank.size;
	while (more) {
		more = false;
		for (uint64_t a = m->base; a + m->region_size <= m->base + m->size; a += m->region_size) {
			const struct efi_region *r = (const struct efi_region *)a;

			if (usable(r) && r->base == end && r->pages != 0) {
				end += r->pages * SZ_4K;
				more = true;
			}
		}
	}
	bank.size = end - bank.base;
	return bank;
}

static bool write_memory(void *fdt, const struct map *m)
{
	struct range bank = next_bank(m, 0);
	int node = fdt_add_subnode(fdt, 0, "memory");

	if (node < 0 || fdt_setprop_string(fdt, node, "device_type", "memory") != 0)
		return false;
	while (bank.size != 0) {
		uint64_t base = align_up(bank.base, SZ_2M), end = align_down(bank.base + bank.size, SZ_2M);

		if (base < end && (fdt_appendprop_u64(fdt, node, "reg", base) != 0 ||
				   fdt_appendprop_u64(fdt, node, "reg", end - base) != 0))
			return false;
		bank = next_bank(m, bank.base + bank.size);
	}
	/* A firmware's tree may have a megabyte of room. */
	return fdt_pack(fdt) == 0;
}

static bool drop_memory(void *fdt)
{
	int node = fdt_first_subnode(fdt, 0);

	while (node >= 0) {
		const char *type = fdt_getprop(fdt, node, "device_type", NULL);

		if (type != NULL && strcmp(type, "memory") == 0) {
			if (fdt_del_node(fdt, node) != 0)
				return false;
			node = fdt_first_subnode(fdt, 0);
		} else {
			node = fdt_next_subnode(fdt, node);
		}
	}
	return true;
}

/* To memory, for those who read it with their caches off. */
static void clean(uint64_t base, uint64_t size)
{
	uint64_t line = 4UL << (read_sysreg(ctr_el0) >> 16 & 0xf);

	dsb(sy);
	for (uint64_t a = align_down(base, line); a < base + size; a += line)
		__asm__ volatile("dc civac, %0" : : "r"(a) : "memory");
	dsb(sy);
}

uint64_t efi_main(void *image, struct efi_system_table *system)
{
	const struct efi_boot_services *boot = system->boot;
	void *fdt = find_fdt(system), *to;
	const char *why = unfit(fdt);
	uint64_t core = align_up((uint64_t)(_end - _start), SZ_2M), total = core, block = 0, at, size;
	uint64_t status = EFI_INVALID_PARAMETER;
	struct map map = { 0, 0, 0, 0 };
	uint32_t version;
	int node;

	if (why != NULL)
		return refuse(system, fdt, why, EFI_UNSUPPORTED);
	size = fdt_totalsize(fdt) + FDT_ROOM;
	total += align_up(size, SZ_2M);
	for (node = next_module(fdt, -1); node >= 0; node = next_module(fdt, node)) {
		struct range r = module_range(fdt, node);

		total += module_room(&r);
	}
	/* Blocks of 2 MiB: no bank of memory ends inside of one, whatever UEFI has beside them. */
	if (boot->allocate_pages(0, EFI_LOADER_DATA, (total + SZ_2M) / SZ_4K, &block) != EFI_SUCCESS ||
	    boot->allocate_pages(0, EFI_LOADER_DATA, MAP_SIZE / SZ_4K, &map.base) != EFI_SUCCESS)
		return refuse(system, fdt, "out of memory", EFI_OUT_OF_RESOURCES);
	block = align_up(block, SZ_2M);
	to = (void *)(block + core);
	if (fdt_open_into(fdt, to, (int)size) != 0 || !drop_memory(to))
		return refuse(system, fdt, "the device tree can not be changed", EFI_LOAD_ERROR);
	__builtin_memcpy((void *)block, _start, (size_t)(__bss_start - _start));
	at = block + core + align_up(size, SZ_2M);
	for (node = next_module(to, -1); node >= 0; node = next_module(to, node)) {
		struct range r = module_range(to, node);
		fdt64_t reg[2] = { cpu_to_fdt64(at), cpu_to_fdt64(r.size) };

		if (r.size == 0)
			continue;
		__builtin_memcpy((void *)at, (const void *)r.base, r.size);
		if (fdt_setprop_inplace(to, node, "reg", reg, sizeof(reg)) != 0)
			return refuse(system, fdt, "the device tree can not be changed", EFI_LOAD_ERROR);
		at += module_room(&r);
	}
	print(system, "KCore: taking over from the firmware\r\n");

	/* The first call may have to end activities that change the map. */
	for (int i = 0; i < 4 && status == EFI_INVALID_PARAMETER; i++) {
		map.size = MAP_SIZE;
		status = boot->get_memory_map(&map.size, (void *)map.base, &map.key, &map.region_size, &version);
		if (status == EFI_SUCCESS)
			status = boot->exit_boot_services(image, map.key);
		else if (i == 0)
			return refuse(system, fdt, "no memory map of the firmware", status);
	}
	/* From here on nobody is left to return to; a boot loader that counts attempts boots something else then. */
	if (status != EFI_SUCCESS || !write_memory(to, &map)) {
		for (;;)
			firmware_call(PSCI_SYSTEM_RESET, 0, 0, 0);
	}
	clean(block, total);
	clean((uint64_t)_start, (uint64_t)(_end - _start));
	efi_leave(block + core, block);
}
