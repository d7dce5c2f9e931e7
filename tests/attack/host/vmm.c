// SPDX-License-Identifier: Apache-2.0
/*
 * The smallest VMM: launches guest/keeper.S as a realm through /dev/kcore, and then attacks it as host
 * user space can, with all that a VMM holds: its own mapping of the guest's memory, its vCPU's file, its
 * address space seen through /proc, process_vm_readv, ptrace and a core dump.
 *
 *   vmm PAYLOAD [forget]
 *
 * With "forget" KServ is made to forget first that it gave the page away, so that its own refusals of
 * get_user_pages() do not stand before KCore's.
 *
 * prints a line "NAME refused HOW", "NAME got VALUE" per attempt, and "kept" or "changed" for the realm's data.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../kvm-patches/uapi/kcore.h"
#include "../module/kcore_attack.h"

#define RAM_BASE 0x40000000UL
#define RAM_SIZE 0x1000000UL
#define SHARED 0x100000000UL /* s2sz 33 */
#define DATA (RAM_BASE + 0x100000)
#define DEVICE 0x10000000UL
#define SECRET 0x5ec2e75ec2e70000UL

static uint8_t *ram, *shared_ram;
static int vcpu;
static struct kvm_run *run;

static int must(int result, const char *what)
{
	if (result < 0) {
		printf("vmm: %s: %s\n", what, strerrorname_np(errno));
		exit(1);
	}
	return result;
}

/* ---- launch and run --------------------------------------------------------------------------- */

static void *reserve(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(p == MAP_FAILED ? -1 : 0, "mmap");
	return p;
}

static int payload_fd(const char *path)
{
	int from = must(open(path, O_RDONLY), path);
	int fd = must(memfd_create("payload", MFD_ALLOW_SEALING), "memfd_create");
	char page[4096] = { 0 };

	must((int)read(from, page, sizeof(page)), path);
	must((int)write(fd, page, sizeof(page)), "write");
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), "seal");
	close(from);
	return fd;
}

static void slot(int vm, uint32_t number, uint64_t ipa, void *at)
{
	struct kvm_userspace_memory_region r = {
		.slot = number, .guest_phys_addr = ipa, .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)at,
	};

	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");
}

static void vgic_attr(int vgic, uint32_t group, uint64_t attr, uint64_t value)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)&value };

	must(ioctl(vgic, KVM_SET_DEVICE_ATTR, &a), "KVM_SET_DEVICE_ATTR");
}

static void launch(const char *path)
{
	struct kcore_launch_config config = {
		.ram_base = RAM_BASE, .ram_size = RAM_SIZE, .vcpus = 1, .s2sz = 33,
		.entry_pc = RAM_BASE, .entry_regs = { SHARED, DATA, SECRET },
	};
	struct kcore_launch_segment segment = {
		.memfd = payload_fd(path), .flags = KCORE_SEGMENT_MEASURED, .ipa = RAM_BASE, .length = 4096,
	};
	struct kvm_vcpu_init init;
	struct kvm_create_device vgic = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int kcore, vm;

	setrlimit(RLIMIT_MEMLOCK, &all);
	kcore = must(open("/dev/kcore", O_RDWR | O_CLOEXEC), "/dev/kcore");
	must(ioctl(kcore, KCORE_LAUNCH_CONFIG, &config), "KCORE_LAUNCH_CONFIG");
	must(ioctl(kcore, KCORE_LAUNCH_SEGMENT, &segment), "KCORE_LAUNCH_SEGMENT");
	vm = must(ioctl(kcore, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	ram = reserve(RAM_SIZE);
	shared_ram = reserve(RAM_SIZE);
	slot(vm, 0, RAM_BASE, ram);
	slot(vm, 1, RAM_BASE | SHARED, shared_ram);
	vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)must(ioctl(kcore, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE"),
		   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	must(run == MAP_FAILED ? -1 : 0, "mmap vcpu");
	must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	must(ioctl(vcpu, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	must(ioctl(vm, KVM_CREATE_DEVICE, &vgic), "KVM_CREATE_DEVICE");
	vgic_attr((int)vgic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x08000000);
	vgic_attr((int)vgic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x080a0000);
	vgic_attr((int)vgic.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
}

/* Run until the guest asks (returns its question's place in the run page), answers, or ends. */
static uint64_t go(uint64_t command, bool *ended)
{
	*ended = false;
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			printf("vmm: KVM_RUN: %s\n", strerrorname_np(errno));
			exit(1);
		}
		if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT) {
			*ended = true;
			return 0;
		}
		if (run->exit_reason != KVM_EXIT_MMIO) {
			printf("vmm: exit %u\n", run->exit_reason);
			exit(1);
		}
		if (!run->mmio.is_write && run->mmio.phys_addr == DEVICE) {
			memcpy(run->mmio.data, &command, 8);
			if (command == 0)
				return 0; /* it spins on the device; the next turn answers it */
			if (command == 1)
				command = 0;
		} else if (run->mmio.is_write && run->mmio.phys_addr == DEVICE + 8) {
			uint64_t value;

			memcpy(&value, run->mmio.data, 8);
			return value;
		}
	}
}

static void kept(void)
{
	uint64_t want = 0;
	bool ended;

	for (uint64_t i = 0; i < 512; i++)
		want ^= SECRET + i;
	/* An unanswered load of before completes with 0 first. */
	puts(go(1, &ended) == want && !ended ? "kept" : "changed");
}

/* ---- attempts ----------------------------------------------------------------------------------- */

static sigjmp_buf escape;

static void on_fault(int sig)
{
	siglongjmp(escape, sig);
}

static void report(const char *name, long result, uint64_t got)
{
	if (result < 0)
		printf("%s refused %s\n", name, strerrorname_np((int)-result));
	else
		printf("%s got %lx\n", name, (unsigned long)got);
}

static volatile uint64_t *data(void)
{
	return (volatile uint64_t *)(ram + (DATA - RAM_BASE));
}

static void own_mapping(const char *name, bool write)
{
	volatile uint64_t got = 0;
	int sig = sigsetjmp(escape, 1);

	if (sig) {
		printf("%s refused SIG%s\n", name, sigabbrev_np(sig));
		return;
	}
	if (write)
		*data() = 0xbad;
	else
		got = *data();
	report(name, 0, got);
}

static void own_exec(void)
{
	int sig;

	mprotect(ram, RAM_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
	sig = sigsetjmp(escape, 1);
	if (sig)
		printf("own-exec %s SIG%s\n", sig == SIGBUS ? "refused" : "got", sigabbrev_np(sig));
	else
		report("own-exec", 0, ((unsigned long (*)(void))(uintptr_t)data())());
	mprotect(ram, RAM_SIZE, PROT_READ | PROT_WRITE);
}

static void proc_mem(const char *name, bool write)
{
	uint64_t got = 0xbad;
	int fd = must(open("/proc/self/mem", O_RDWR), "/proc/self/mem");
	long n = write ? pwrite(fd, &got, 8, (off_t)(uintptr_t)data()) :
			 pread(fd, &got, 8, (off_t)(uintptr_t)data());

	report(name, n == 8 ? 0 : n < 0 ? -errno : -EIO, got);
	close(fd);
}

static void vm_readv(const char *name, bool write)
{
	uint64_t got = 0xbad;
	struct iovec own = { &got, 8 }, other = { (void *)(uintptr_t)data(), 8 };
	long n = write ? process_vm_writev(getpid(), &own, 1, &other, 1, 0) :
			 process_vm_readv(getpid(), &own, 1, &other, 1, 0);

	report(name, n == 8 ? 0 : n < 0 ? -errno : -EIO, got);
}

/* A pipe, a socket and a file read from the page: the kernel copies it for us. */
static void kernel_copy(void)
{
	uint64_t got = 0;
	int p[2];
	long n;

	must(pipe(p), "pipe");
	n = write(p[1], (const void *)data(), 8);
	if (n == 8)
		n = read(p[0], &got, 8);
	report("kernel-copy", n == 8 ? 0 : n < 0 ? -errno : -EIO, got);
	close(p[0]);
	close(p[1]);
}

static void traced(void)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0) {
		long got, err;
		struct iovec iov;
		uint64_t word = 0;

		if (ptrace(PTRACE_ATTACH, parent, NULL, NULL)) {
			printf("vmm: ptrace: %s\n", strerrorname_np(errno));
			_exit(1);
		}
		waitpid(parent, NULL, __WALL);
		errno = 0;
		got = ptrace(PTRACE_PEEKDATA, parent, (void *)(uintptr_t)data(), NULL);
		err = errno;
		report("ptrace-read", err ? -err : 0, (uint64_t)got);
		err = ptrace(PTRACE_POKEDATA, parent, (void *)(uintptr_t)data(), (void *)0xbad) ? errno : 0;
		report("ptrace-write", err ? -err : 0, 0xbad);
		iov.iov_base = &word;
		iov.iov_len = 8;
		(void)iov;
		fflush(stdout);
		ptrace(PTRACE_DETACH, parent, NULL, NULL);
		_exit(0);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

/* What KVM tells of the vCPU: no register may show the secret. */
static void registers(void)
{
	uint64_t shown = 0, hits = 0;
	struct kvm_reg_list probe = { .n = 0 }, *list;

	ioctl(vcpu, KVM_GET_REG_LIST, &probe);
	list = calloc(1, sizeof(*list) + (probe.n + 1) * 8);
	list->n = probe.n;
	if (!list->n || ioctl(vcpu, KVM_GET_REG_LIST, list)) {
		report("registers", -errno, 0);
		return;
	}
	for (uint64_t i = 0; i < list->n; i++) {
		uint64_t value[32] = { 0 };
		struct kvm_one_reg reg = { .id = list->reg[i], .addr = (uintptr_t)value };

		if (ioctl(vcpu, KVM_GET_ONE_REG, &reg))
			continue;
		shown++;
		for (int w = 0; w < 32; w++)
			hits += (value[w] & ~0xffffUL) == SECRET;
	}
	if (hits)
		report("registers", 0, hits);
	else
		printf("registers refused %lu-shown-none-secret\n", (unsigned long)shown);
	free(list);
	for (size_t i = 0; i < 4096 / 8; i++)
		if ((((volatile uint64_t *)run)[i] & ~0xffffUL) == SECRET)
			puts("run-page got secret");
}

static void set_registers(void)
{
	uint64_t value = 0xbad;
	struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.regs[1]),
		.addr = (uintptr_t)&value,
	};

	/* Accepted or not: kept() afterwards shows that the guest's x1 did not move. */
	printf("set-register %s\n", ioctl(vcpu, KVM_SET_ONE_REG, &reg) ? strerrorname_np(errno) : "ignored");
}

/* A child that dies with the guest's memory mapped writes a core file: it must not hold the secret. */
static void core_dump(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);
	uint64_t hits = 0, word;
	pid_t child;
	FILE *f;

	if (fd >= 0) {
		if (write(fd, "/core.test", 10) < 0)
			perror("core_pattern");
		close(fd);
	}
	setrlimit(RLIMIT_CORE, &all);
	child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	waitpid(child, NULL, 0);
	f = fopen("/core.test", "r");
	if (!f) {
		puts("core-dump refused no-file");
		return;
	}
	/* Our own stack and text hold SECRET itself, so look for what only the data page has. */
	while (fread(&word, 8, 1, f) == 1)
		hits += word > SECRET && word < SECRET + 512 && (word & 0xff) == 0x5a;
	fclose(f);
	unlink("/core.test");
	if (hits)
		report("core-dump", 0, hits);
	else
		puts("core-dump refused nothing-in-it");
}

static uint64_t kernel_function(const char *name)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	unsigned long address;
	char symbol[128];

	must(f ? 0 : -1, "/proc/kallsyms");
	while (fscanf(f, "%lx %*c %127s%*[^\n]", &address, symbol) == 2) {
		if (!strcmp(symbol, name)) {
			fclose(f);
			return address;
		}
	}
	printf("vmm: no %s\n", name);
	exit(1);
}

static void forget(void)
{
	struct kat_call call = { .function = kernel_function("kcore_clear_donated"), .x = { 0, 1 } };
	int device = must(open("/dev/kcore-attack", O_RDWR), "/dev/kcore-attack");
	int pagemap = must(open("/proc/self/pagemap", O_RDONLY), "pagemap");

	must(pread(pagemap, &call.x[0], 8, (off_t)((uintptr_t)data() / 4096 * 8)) == 8 ? 0 : -1, "pagemap");
	call.x[0] &= (1UL << 55) - 1;
	must(ioctl(device, KAT_CALL, &call), "KAT_CALL");
	close(pagemap);
	close(device);
}

int main(int argc, char **argv)
{
	struct sigaction catch = { .sa_handler = on_fault };
	bool ended;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2 && (argc != 3 || strcmp(argv[2], "forget")))
		return 2;
	launch(argv[1]);
	go(0, &ended);
	if (argc == 3)
		forget();
	kept();
	sigaction(SIGBUS, &catch, NULL);
	sigaction(SIGSEGV, &catch, NULL);
	sigaction(SIGILL, &catch, NULL);
	own_mapping("own-read", false);
	own_mapping("own-write", true);
	own_exec();
	proc_mem("proc-mem-read", false);
	proc_mem("proc-mem-write", true);
	vm_readv("process-vm-readv", false);
	vm_readv("process-vm-writev", true);
	kernel_copy();
	traced();
	core_dump();
	go(0, &ended); /* stops at a load, of which the host is to learn no register at all */
	registers();
	set_registers();
	kept();
	/* Give the memory away under the running realm: its pages are pinned and not ours to drop. */
	madvise((void *)(ram + (DATA - RAM_BASE)), 4096, MADV_DONTNEED);
	own_mapping("after-dontneed", false);
	kept();
	go(2, &ended);
	puts(ended ? "off" : "running");
	return 0;
}
