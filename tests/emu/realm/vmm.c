// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of realms in KVM and of /dev/kcore, as the first process of a host without any other user space. Each
 * scenario is a process of its own; afterwards no granule may be missing. Prints "PASS NAME" or "FAIL NAME: WHY"
 * for each, then "done", and powers the host off.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../kvm-patches/uapi/kcore.h"
#include "steps.h"
#include "tenant.h"

#define RAM_SIZE 0x4000000UL
#define SHARED_BIT (1UL << 32)
#define MAX_VCPUS 16

struct vm {
	int launch, fd;
	unsigned int vcpus;
	int vcpu[MAX_VCPUS];
	struct kvm_run *run[MAX_VCPUS];
	uint8_t *ram, *shared;
	uint64_t value;			/* of DEVICE_VALUE */
	volatile bool over, done;
	int error;			/* of KVM_RUN */
};

static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	_exit(1);
}

static int must(long result, const char *what)
{
	if (result < 0)
		die("%s: %s", what, strerrorname_np(errno));
	return (int)result;
}

/* ---- A realm -------------------------------------------------------------------------------------------------- */

static int payload(int seals, __u64 *size)
{
	static char buffer[1 << 20];
	int from = must(open("/guest.bin", O_RDONLY), "guest.bin");
	int fd = must(memfd_create("payload", MFD_ALLOW_SEALING), "memfd_create");

	*size = (__u64)must(read(from, buffer, sizeof(buffer)), "read");
	must(write(fd, buffer, *size), "write");
	must(fcntl(fd, F_ADD_SEALS, seals), "F_ADD_SEALS");
	close(from);
	return fd;
}

static struct kcore_launch_config config_of(unsigned int vcpus)
{
	return (struct kcore_launch_config){
		.ram_base = RAM_BASE, .ram_size = RAM_SIZE, .vcpus = vcpus, .entry_pc = RAM_BASE,
		.entry_regs = { SHARED_BIT, vcpus },
	};
}

static void map_slot(struct vm *vm, uint32_t number, uint64_t ipa, void *at)
{
	struct kvm_userspace_memory_region r = {
		.slot = number, .guest_phys_addr = ipa, .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)at,
	};

	must(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");
}

static void map_memory(struct vm *vm, int advice)
{
	uint8_t *at = mmap(NULL, 2 * RAM_SIZE + 0x200000, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(at == MAP_FAILED ? -1 : 0, "mmap");
	at = (uint8_t *)(((uintptr_t)at + 0x1FFFFF) & ~0x1FFFFFUL);
	must(madvise(at, 2 * RAM_SIZE, advice), "madvise");
	vm->ram = at;
	vm->shared = at + RAM_SIZE;
	map_slot(vm, 0, RAM_BASE, vm->ram);
	map_slot(vm, 1, RAM_BASE | SHARED_BIT, vm->shared);
}

static void vgic_attr(int vgic, uint32_t group, uint64_t attr, uint64_t value)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)&value };

	must(ioctl(vgic, KVM_SET_DEVICE_ATTR, &a), "KVM_SET_DEVICE_ATTR");
}

static void make_vcpus(struct vm *vm)
{
	size_t size = (size_t)must(ioctl(vm->launch, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	struct kvm_create_device vgic = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	struct kvm_vcpu_init init;

	must(ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1U << KVM_ARM_VCPU_PSCI_0_2;
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		vm->vcpu[i] = must(ioctl(vm->fd, KVM_CREATE_VCPU, i), "KVM_CREATE_VCPU");
		vm->run[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu[i], 0);
		must(vm->run[i] == MAP_FAILED ? -1 : 0, "mmap");
		must(ioctl(vm->vcpu[i], KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	}
	must(ioctl(vm->fd, KVM_CREATE_DEVICE, &vgic), "KVM_CREATE_DEVICE");
	vgic_attr((int)vgic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x08000000);
	vgic_attr((int)vgic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x080A0000);
	vgic_attr((int)vgic.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
}

static void launch(struct vm *vm, unsigned int vcpus, int advice)
{
	struct kcore_launch_config config = config_of(vcpus);
	struct kcore_launch_segment segment = { .flags = KCORE_SEGMENT_MEASURED, .ipa = RAM_BASE };

	vm->vcpus = vcpus;
	if (!vm->launch)
		vm->launch = must(open("/dev/kcore", O_RDWR | O_CLOEXEC), "/dev/kcore");
	segment.memfd = payload(F_SEAL_WRITE | F_SEAL_SHRINK, &segment.length);
	must(ioctl(vm->launch, KCORE_LAUNCH_CONFIG, &config), "KCORE_LAUNCH_CONFIG");
	must(ioctl(vm->launch, KCORE_LAUNCH_SEGMENT, &segment), "KCORE_LAUNCH_SEGMENT");
	close(segment.memfd);
	vm->fd = must(ioctl(vm->launch, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	map_memory(vm, advice);
	make_vcpus(vm);
}

/* The guest shared memory: what it wrote is there, and its private copy is not. */
static void on_shared(struct vm *vm)
{
	uint64_t *page = (uint64_t *)(vm->shared + SHARED_PAGE);
	uint64_t *word = (uint64_t *)(vm->shared + SHARED_BLOCK + 0x1FF000);

	for (uint64_t i = 0; i < 512; i++) {
		if (page[i] != 0x1111 + i)
			die("shared page: %lx at %lu", page[i], i);
		page[i] = 0x3333 + i;
	}
	if (*word != 0x2222)
		die("shared block: %lx", *word);
	*word = 0x4444;
	if (*(volatile uint64_t *)(vm->ram + SHARED_PAGE) != 0)
		die("the private page came back with contents");
}

static void on_step(struct vm *vm, uint64_t step)
{
	if (step == STEP_FAILED || step == STEP_EXCEPTION)
		printf("guest: step %lx value %lx\n", step, vm->value);
	if (step == STEP_SHARED)
		on_shared(vm);
	if (step == STEP_DONE)
		vm->done = true;
}

static void on_mmio(struct vm *vm, struct kvm_run *run)
{
	uint64_t v = 0x8182838485868788;

	if (!run->mmio.is_write) {
		memcpy(run->mmio.data, &v, run->mmio.len);
		return;
	}
	v = 0;
	memcpy(&v, run->mmio.data, run->mmio.len);
	if (run->mmio.phys_addr == DEVICE_VALUE)
		vm->value = v;
	else if (run->mmio.phys_addr == DEVICE_STEP)
		on_step(vm, v);
	else if (run->mmio.phys_addr == DEVICE_STORE && (run->mmio.len != 4 || v != 0x89ABCDEF))
		die("store of %u bytes: %lx", run->mmio.len, v);
}

struct vcpu_thread {
	struct vm *vm;
	unsigned int index;
	pthread_t thread;
};

static void *run_vcpu(void *arg)
{
	struct vcpu_thread *t = arg;
	struct vm *vm = t->vm;
	struct kvm_run *run = vm->run[t->index];

	while (!vm->over) {
		if (ioctl(vm->vcpu[t->index], KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			vm->error = errno;
			vm->over = true;
		} else if (run->exit_reason == KVM_EXIT_MMIO) {
			on_mmio(vm, run);
		} else if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT) {
			vm->over = true;
		} else {
			die("vCPU %u: exit %u", t->index, run->exit_reason);
		}
	}
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void run(struct vm *vm)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct vcpu_thread t[MAX_VCPUS];

	sigaction(SIGUSR1, &action, NULL);
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		t[i] = (struct vcpu_thread){ .vm = vm, .index = i };
		if (pthread_create(&t[i].thread, NULL, run_vcpu, &t[i]))
			die("no thread");
	}
	while (!vm->over)
		usleep(10000);
	for (unsigned int i = 0; i < vm->vcpus; i++)
		while (pthread_tryjoin_np(t[i].thread, NULL)) {
			pthread_kill(t[i].thread, SIGUSR1);
			usleep(1000);
		}
}

static struct kcore_launch_status status_of(struct vm *vm)
{
	struct kcore_launch_status s;

	must(ioctl(vm->launch, KCORE_LAUNCH_STATUS, &s), "KCORE_LAUNCH_STATUS");
	return s;
}

/* ---- Scenarios ------------------------------------------------------------------------------------------------ */

static void a_realm(unsigned int vcpus, int advice)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct vm vm = { 0 };
	struct kcore_launch_status s;

	setrlimit(RLIMIT_MEMLOCK, &all);
	launch(&vm, vcpus, advice);
	run(&vm);
	s = status_of(&vm);
	if (!vm.done || vm.error || s.error || s.state != KCORE_LAUNCH_DEAD)
		die("done %d, KVM_RUN errno %d, error %d", vm.done, vm.error, s.error);
	if ((advice == MADV_HUGEPAGE) != (s.blocks_2m != 0))
		die("%llu blocks of 2 MiB", s.blocks_2m);
	/* the guest took all back that it shared; a block of which it took only a part stays shared */
	if ((advice == MADV_HUGEPAGE) != (s.pages_shared != 0))
		die("%llu shared pages", s.pages_shared);
	if (s.vcpus != vcpus || !s.exits || !s.pages_donated || !s.pages_meta)
		die("numbers of the launch are wrong");
}

static void one_vcpu(void)
{
	a_realm(1, MADV_HUGEPAGE);
}

static void two_vcpus(void)
{
	a_realm(2, MADV_HUGEPAGE);
}

static void eight_vcpus(void)
{
	a_realm(8, MADV_HUGEPAGE);
}

static void small_pages(void)
{
	a_realm(2, MADV_NOHUGEPAGE);
}

static void wait_ok(pid_t child)
{
	int status;

	waitpid(child, &status, 0);
	if (status)
		die("child: %x", status);
}

static void three_at_once(void)
{
	pid_t child[3];

	for (int i = 0; i < 3; i++) {
		child[i] = fork();
		if (!child[i]) {
			a_realm((unsigned int)i + 1, MADV_HUGEPAGE);
			_exit(0);
		}
	}
	for (int i = 0; i < 3; i++)
		wait_ok(child[i]);
}

static void ten_after_another(void)
{
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();

		if (!child) {
			a_realm(1, MADV_HUGEPAGE);
			_exit(0);
		}
		wait_ok(child);
	}
}

/* Killed while it is made, while it runs, while it ends. */
static void killed(void)
{
	for (useconds_t delay = 1; delay < 1000000; delay *= 4) {
		pid_t child = fork();

		if (!child) {
			a_realm(4, MADV_HUGEPAGE);
			_exit(0);
		}
		usleep(delay);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

static void too_little_locked_memory(void)
{
	struct rlimit little = { 8 << 20, 8 << 20 };
	struct vm vm = { .launch = must(open("/dev/kcore", O_RDWR | O_CLOEXEC), "/dev/kcore") };
	struct kcore_launch_status s;

	must(setrlimit(RLIMIT_MEMLOCK, &little), "setrlimit");
	must(setuid(65534), "setuid");
	launch(&vm, 1, MADV_HUGEPAGE);
	run(&vm);
	s = status_of(&vm);
	if (vm.error != ENOMEM || s.state != KCORE_LAUNCH_DEAD || s.error != -ENOMEM || s.pages_donated || s.pages_meta)
		die("KVM_RUN errno %d, state %u, error %d", vm.error, s.state, s.error);
}

/* A launch that is never made into a VM leaves nothing. */
static void closed_before_the_vm(void)
{
	struct kcore_launch_config config = config_of(1);
	struct kcore_launch_segment segment = { .ipa = RAM_BASE };
	int fd = must(open("/dev/kcore", O_RDWR | O_CLOEXEC), "/dev/kcore");

	segment.memfd = payload(F_SEAL_WRITE | F_SEAL_SHRINK, &segment.length);
	must(ioctl(fd, KCORE_LAUNCH_CONFIG, &config), "KCORE_LAUNCH_CONFIG");
	must(ioctl(fd, KCORE_LAUNCH_SEGMENT, &segment), "KCORE_LAUNCH_SEGMENT");
	close(fd);
}

static void refused(int expected, int fd, unsigned long request, void *arg, const char *what)
{
	if (ioctl(fd, request, arg) >= 0)
		die("%s: accepted", what);
	if (errno != expected)
		die("%s: %s", what, strerrorname_np(errno));
}

static void bad_configs(int fd)
{
	struct kcore_launch_config good = config_of(1), c;

	refused(EFAULT, fd, KCORE_LAUNCH_CONFIG, (void *)8, "bad pointer");
#define BAD(field, v) do { c = good; c.field = (v); refused(EINVAL, fd, KCORE_LAUNCH_CONFIG, &c, #field " " #v); } while (0)
	BAD(flags, 1);
	BAD(ram_base, 0);
	BAD(ram_base, RAM_BASE + 4096);
	BAD(ram_base, ~0x1FFFFFUL);
	BAD(ram_size, 0);
	BAD(ram_size, 4096);
	BAD(ram_size, 1UL << 60);
	BAD(vcpus, 0);
	BAD(vcpus, KCORE_MAX_VCPUS + 1);
	BAD(s2sz, 31);
	BAD(s2sz, 64);
	BAD(hash_algo, 2);
	BAD(reserved0, 1);
	BAD(reserved[9], 1);
	BAD(entry_pc, 0);
	BAD(entry_pc, RAM_BASE + RAM_SIZE);
	BAD(entry_pc, RAM_BASE + 2);
#undef BAD
}

static void bad_segments(int fd)
{
	struct kcore_launch_segment good = { .ipa = RAM_BASE }, s;

	good.memfd = payload(F_SEAL_WRITE | F_SEAL_SHRINK, &good.length);
#define BAD(error, field, v) do { s = good; s.field = (v); refused(error, fd, KCORE_LAUNCH_SEGMENT, &s, #field " " #v); } while (0)
	BAD(EBADF, memfd, 1000);
	BAD(EINVAL, memfd, open("/guest.bin", O_RDONLY));
	BAD(EINVAL, memfd, payload(F_SEAL_SHRINK, &good.length));
	BAD(EINVAL, flags, 4);
	BAD(EINVAL, offset, 1);
	BAD(EINVAL, offset, 1UL << 40);
	BAD(EINVAL, offset, ~0xFFFUL);
	BAD(EINVAL, ipa, 0);
	BAD(EINVAL, ipa, RAM_BASE + 1);
	BAD(EINVAL, ipa, RAM_BASE + RAM_SIZE);
	BAD(EINVAL, ipa, RAM_BASE + RAM_SIZE - 4096);
	BAD(EINVAL, length, 0);
	BAD(EINVAL, length, ~0UL);
	BAD(EINVAL, length, 2 << 20);
	BAD(EINVAL, reserved[2], 1);
	BAD(EINVAL, tags, 16);
	must(ioctl(fd, KCORE_LAUNCH_SEGMENT, &good), "KCORE_LAUNCH_SEGMENT");
	BAD(EEXIST, ipa, RAM_BASE + 4096);
#undef BAD
	good.length = 4096;
	for (unsigned int i = 1; i < KCORE_MAX_SEGMENTS; i++) {
		good.ipa = RAM_BASE + 0x100000UL * i;
		must(ioctl(fd, KCORE_LAUNCH_SEGMENT, &good), "KCORE_LAUNCH_SEGMENT");
	}
	good.ipa = RAM_BASE + 0x3F00000;
	refused(ENOSPC, fd, KCORE_LAUNCH_SEGMENT, &good, "too many segments");
}

static void bad_launches(void)
{
	int fd = must(open("/dev/kcore", O_RDWR | O_CLOEXEC), "/dev/kcore");
	int reader = must(open("/dev/kcore", O_RDONLY | O_CLOEXEC), "/dev/kcore");
	struct kcore_launch_config config = config_of(1);
	struct kcore_launch_segment segment = { .ipa = RAM_BASE, .length = 4096 };
	struct kcore_counter_read counter = { .index = 1000 };
	int vm;

	refused(EBADF, reader, KCORE_LAUNCH_CONFIG, &config, "config by a reader");
	refused(EBADF, reader, KVM_CREATE_VM, NULL, "VM by a reader");
	refused(ENOTTY, fd, 0xC4FF, NULL, "unknown ioctl");
	refused(EINVAL, fd, KCORE_COUNTER_READ, &counter, "unknown counter");
	refused(EINVAL, fd, KVM_CREATE_VM, NULL, "VM without a configuration");
	refused(EINVAL, fd, KCORE_LAUNCH_SEGMENT, &segment, "segment without a configuration");
	bad_configs(fd);
	must(ioctl(fd, KCORE_LAUNCH_CONFIG, &config), "KCORE_LAUNCH_CONFIG");
	refused(EBUSY, fd, KCORE_LAUNCH_CONFIG, &config, "second configuration");
	bad_segments(fd);
	vm = must(ioctl(fd, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	refused(EBUSY, fd, KVM_CREATE_VM, NULL, "second VM");
	refused(EBUSY, fd, KCORE_LAUNCH_SEGMENT, &segment, "segment after the VM");
	close(vm);
}

/* A VM of /dev/kvm can be made and asked, and does not run. */
static void a_plain_vm(void)
{
	struct vm vm = { .vcpus = 1, .launch = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm") };

	vm.fd = must(ioctl(vm.launch, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	make_vcpus(&vm);
	refused(EOPNOTSUPP, vm.vcpu[0], KVM_RUN, NULL, "KVM_RUN");
	refused(EINVAL, vm.launch, KVM_CREATE_VM, (void *)(1UL << 32), "type with high bits");
}

/* What a VMM may not do to a realm. */
static void meddling(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct kvm_userspace_memory_region r = { .slot = 0, .guest_phys_addr = RAM_BASE };
	struct kvm_vcpu_events events = { .exception = { .serror_pending = 1 } };
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };
	struct kvm_arm_counter_offset offset = { .counter_offset = 1 };
	struct kvm_mp_state stopped = { .mp_state = KVM_MP_STATE_STOPPED }, now;
	struct vm vm = { 0 };

	setrlimit(RLIMIT_MEMLOCK, &all);
	launch(&vm, 1, MADV_HUGEPAGE);
	r.flags = KVM_MEM_LOG_DIRTY_PAGES;
	r.memory_size = RAM_SIZE;
	r.userspace_addr = (uintptr_t)vm.ram;
	refused(EINVAL, vm.fd, KVM_SET_USER_MEMORY_REGION, &r, "dirty log");
	refused(EPERM, vm.fd, KVM_ARM_SET_COUNTER_OFFSET, &offset, "counter offset");
	/* one step: the realm is made */
	must(ioctl(vm.vcpu[0], KVM_RUN, 0), "KVM_RUN");
	r.flags = 0;
	r.memory_size = 0;
	refused(EPERM, vm.fd, KVM_SET_USER_MEMORY_REGION, &r, "memory slot taken away");
	refused(EPERM, vm.vcpu[0], KVM_SET_VCPU_EVENTS, &events, "injected SError");
	refused(EINVAL, vm.vcpu[0], KVM_SET_GUEST_DEBUG, &debug, "debugging");
	must(ioctl(vm.vcpu[0], KVM_SET_MP_STATE, &stopped), "KVM_SET_MP_STATE");
	must(ioctl(vm.vcpu[0], KVM_GET_MP_STATE, &now), "KVM_GET_MP_STATE");
	if (now.mp_state != KVM_MP_STATE_RUNNABLE)
		die("stopped from outside");
	on_mmio(&vm, vm.run[0]);
	run(&vm);
	if (!vm.done)
		die("the realm did not go on");
}

/* ---- Policies and sealed pages -------------------------------------------------------------------------------- */

/* The public sealing key of this machine's KCore: the one X25519 key (crv 4: x) of its identity document. */
static void sealing_key(int fd, uint8_t key[32])
{
	static const uint8_t crv_x[] = { 0x20, 0x04, 0x21, 0x58, 0x20 };
	uint8_t document[KCORE_IDENTITY_MAX], *at;
	struct kcore_identity_read r = { .buf = (uintptr_t)document, .size = sizeof(document) };

	must(ioctl(fd, KCORE_IDENTITY_READ, &r), "KCORE_IDENTITY_READ");
	at = memmem(document, r.length, crv_x, sizeof(crv_x));
	if (!at || document + r.length - at < (ptrdiff_t)sizeof(crv_x) + 32)
		die("no sealing key in the identity of KCore");
	memcpy(key, at + sizeof(crv_x), 32);
}

static struct image image_of(unsigned int vcpus)
{
	static uint8_t plain[1 << 20];
	int from = must(open("/guest.bin", O_RDONLY), "guest.bin"), fd = must(open("/dev/kcore", O_RDONLY), "/dev/kcore");
	size_t size = (size_t)must(read(from, plain, sizeof(plain)), "read");
	struct kcore_launch_config config = config_of(vcpus);
	uint8_t platform[32];
	struct image m;

	close(from);
	sealing_key(fd, platform);
	close(fd);
	image_make(&m, &config, plain, (size + 4095) & ~4095UL, platform);
	return m;
}

static int memfd_of(const void *data, size_t size)
{
	int fd = must(memfd_create("payload", MFD_ALLOW_SEALING), "memfd_create");

	if (must(write(fd, data, size), "write") != (int)size)
		die("short write");
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), "F_ADD_SEALS");
	return fd;
}

/* Launch an image and run it to its end, however that comes. */
static struct kcore_launch_status launch_image(struct vm *vm, const struct image *m, int advice)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct kcore_launch_block block = { .address = (uintptr_t)m->block };
	struct kcore_launch_segment segment = {
		.memfd = memfd_of(m->sealed, m->pages * (4096 + 16)), .ipa = RAM_BASE, .length = 4096 * m->pages,
		.flags = KCORE_SEGMENT_MEASURED | KCORE_SEGMENT_SEALED, .tags = 4096 * m->pages,
	};

	setrlimit(RLIMIT_MEMLOCK, &all);
	vm->vcpus = m->config.vcpus;
	vm->launch = must(open("/dev/kcore", O_RDWR | O_CLOEXEC), "/dev/kcore");
	must(ioctl(vm->launch, KCORE_LAUNCH_CONFIG, &m->config), "KCORE_LAUNCH_CONFIG");
	must(ioctl(vm->launch, KCORE_LAUNCH_POLICY, &block), "KCORE_LAUNCH_POLICY");
	must(ioctl(vm->launch, KCORE_LAUNCH_KEY, &m->key), "KCORE_LAUNCH_KEY");
	must(ioctl(vm->launch, KCORE_LAUNCH_SEGMENT, &segment), "KCORE_LAUNCH_SEGMENT");
	close(segment.memfd);
	vm->fd = must(ioctl(vm->launch, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	map_memory(vm, advice);
	make_vcpus(vm);
	run(vm);
	return status_of(vm);
}

static void a_sealed_image(unsigned int vcpus, int advice)
{
	struct image m = image_of(vcpus);
	struct vm vm = { 0 };
	struct kcore_launch_status s = launch_image(&vm, &m, advice);

	if (!vm.done || vm.error || s.error || s.state != KCORE_LAUNCH_DEAD)
		die("done %d, KVM_RUN errno %d, error %d, command %x, status %x", vm.done, vm.error, s.error,
		    s.rmi_command, s.rmi_status);
}

/* Also: the guest shares a page and a block, and the policy has room for a block and a page. */
static void sealed_image(void)
{
	a_sealed_image(1, MADV_HUGEPAGE);
}

static void sealed_image_eight_vcpus(void)
{
	a_sealed_image(8, MADV_NOHUGEPAGE);
}

static void alter_form(struct image *m)
{
	image_put(m, BLOCK_MAGIC, 0);
	image_sign(m);
}

static void alter_version(struct image *m)
{
	image_put(m, BLOCK_MIN_VERSION, ~0UL);
	image_sign(m);
}

static void alter_signature(struct image *m)
{
	m->block[BLOCK_SIGNATURE + 40] ^= 1;
}

static void alter_signed(struct image *m)
{
	m->block[BLOCK_MAX_SHARED] ^= 1;
}

static void alter_no_rim(struct image *m)
{
	memset(m->block + BLOCK_RIM, 0, 64);
	image_sign(m);
	image_wrap(m);
}

static void alter_key(struct image *m)
{
	m->key.ct[0] ^= 1;
}

static void alter_platform(struct image *m)
{
	memset(m->platform, 9, 32);
	image_wrap(m);
}

/* The tenant's own policy, but not the one that the key was wrapped for. */
static void alter_policy(struct image *m)
{
	image_put(m, BLOCK_MAX_SHARED, 1000);
	image_sign(m);
}

static void alter_page(struct image *m)
{
	m->sealed[4096 + 5] ^= 0x80;
}

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

static void alter_order(struct image *m)
{
	swap(m->sealed, m->sealed + 4096, 4096);
	swap(IMAGE_TAGS(m), IMAGE_TAGS(m) + 16, 16);
}

static void alter_tag(struct image *m)
{
	IMAGE_TAGS(m)[16 * m->pages - 1] ^= 1;
}

/* Pages of another image under the same key. */
static void alter_image(struct image *m)
{
	struct image other = *m;

	other.block[BLOCK_IMAGE_ID] ^= 1;
	image_encrypt(&other);
}

static void alter_rim(struct image *m)
{
	m->block[BLOCK_RIM + 31] ^= 1;
	image_sign(m);
	image_wrap(m);
}

static void alter_entry(struct image *m)
{
	m->config.entry_regs[7] = 1;
}

static void alter_vcpus(struct image *m)
{
	image_put(m, BLOCK_MAX_VCPUS, 1);
	m->config.vcpus = 2;
	image_measure(m);
	image_sign(m);
	image_wrap(m);
}

static void alter_memory(struct image *m)
{
	image_put(m, BLOCK_MAX_PRIVATE, 3);
	image_measure(m);
	image_sign(m);
	image_wrap(m);
}

static const struct refusal {
	const char *what;
	void (*alter)(struct image *m);
	int error;
	uint32_t command, status;
} refusals[] = {
	{ "malformed block", alter_form, EIO, 0x4b07, 1 },
	{ "newer KCore wanted", alter_version, EACCES, 0x4b07, 16 },
	{ "bad signature", alter_signature, EKEYREJECTED, 0x4b07, 17 },
	{ "altered block", alter_signed, EKEYREJECTED, 0x4b07, 17 },
	{ "no RIM expected", alter_no_rim, EACCES, 0x4b08, 16 },
	{ "altered key", alter_key, EBADMSG, 0x4b08, 18 },
	{ "key for another machine", alter_platform, EBADMSG, 0x4b08, 18 },
	{ "key for another policy", alter_policy, EBADMSG, 0x4b08, 18 },
	{ "altered page", alter_page, EBADMSG, 0x4b09, 18 },
	{ "pages in another order", alter_order, EBADMSG, 0x4b09, 18 },
	{ "altered tag", alter_tag, EBADMSG, 0x4b09, 18 },
	{ "pages of another image", alter_image, EBADMSG, 0x4b09, 18 },
	{ "too many pages", alter_memory, EACCES, 0x4b09, 16 },
	{ "too many vCPUs", alter_vcpus, EACCES, 0x015a, 16 },
	{ "another RIM", alter_rim, EPERM, 0x0157, 19 },
	{ "another entry", alter_entry, EPERM, 0x0157, 19 },
};

static void refuse(const struct refusal *r)
{
	struct image m = image_of(1);
	struct vm vm = { 0 };
	struct kcore_launch_status s;

	r->alter(&m);
	s = launch_image(&vm, &m, MADV_HUGEPAGE);
	if (vm.done || vm.error != r->error || s.error != -r->error || s.rmi_command != r->command ||
	    s.rmi_status != r->status || s.state != KCORE_LAUNCH_DEAD)
		die("%s: done %d, KVM_RUN errno %d, error %d, command %x, status %x, state %u", r->what, vm.done, vm.error,
		    s.error, s.rmi_command, s.rmi_status, s.state);
	if (s.pages_donated || s.pages_shared || s.pages_meta || s.blocks_2m)
		die("%s: pages are left", r->what);
	printf("refused: %s\n", r->what);
}

static bool all_returned(void);

static void refused_images(void)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		pid_t child = fork();

		if (!child) {
			refuse(&refusals[i]);
			_exit(0);
		}
		wait_ok(child);
		if (!all_returned())
			die("%s: granules are missing", refusals[i].what);
	}
}

/* A limit that is met only when the guest runs: for the VMM a fault that cannot be resolved. */
static void limited_memory(void)
{
	struct image m = image_of(1);
	struct vm vm = { 0 };
	struct kcore_launch_status s;

	image_put(&m, BLOCK_MAX_PRIVATE, m.pages + 1000);
	image_measure(&m);
	image_sign(&m);
	image_wrap(&m);
	s = launch_image(&vm, &m, MADV_HUGEPAGE);
	if (vm.done || vm.error != EFAULT || s.error != -EACCES || s.rmi_command != 0x0154 || s.rmi_status != 16 ||
	    s.pages_donated != m.pages + 1000)
		die("done %d, KVM_RUN errno %d, error %d, command %x, status %x, %llu pages", vm.done, vm.error, s.error,
		    s.rmi_command, s.rmi_status, s.pages_donated);
}

static void bad_policies(void)
{
	int fd = must(open("/dev/kcore", O_RDWR | O_CLOEXEC), "/dev/kcore");
	int reader = must(open("/dev/kcore", O_RDONLY | O_CLOEXEC), "/dev/kcore");
	struct image m = image_of(1);
	struct kcore_launch_block block = { .address = (uintptr_t)m.block }, b = block;
	struct kcore_launch_key k = m.key;
	struct kcore_launch_segment good = {
		.memfd = memfd_of(m.sealed, m.pages * (4096 + 16)), .ipa = RAM_BASE, .length = 4096 * m.pages,
		.flags = KCORE_SEGMENT_MEASURED | KCORE_SEGMENT_SEALED, .tags = 4096 * m.pages,
	}, s;
	struct kcore_identity_read identity = { .size = 16, .buf = (uintptr_t)&s };

	refused(ENOSPC, reader, KCORE_IDENTITY_READ, &identity, "small buffer");
	if (identity.length <= 16 || identity.length > KCORE_IDENTITY_MAX)
		die("length of the identity: %u", identity.length);
	identity.reserved[1] = 1;
	refused(EINVAL, reader, KCORE_IDENTITY_READ, &identity, "reserved");
	identity = (struct kcore_identity_read){ .size = KCORE_IDENTITY_MAX, .buf = 8 };
	refused(EFAULT, reader, KCORE_IDENTITY_READ, &identity, "bad buffer");

	refused(EBADF, reader, KCORE_LAUNCH_POLICY, &block, "policy by a reader");
	refused(EBADF, reader, KCORE_LAUNCH_KEY, &m.key, "key by a reader");
	refused(EINVAL, fd, KCORE_LAUNCH_POLICY, &block, "policy without a configuration");
	refused(EINVAL, fd, KCORE_LAUNCH_KEY, &m.key, "key without a configuration");
	must(ioctl(fd, KCORE_LAUNCH_CONFIG, &m.config), "KCORE_LAUNCH_CONFIG");
	refused(EINVAL, fd, KCORE_LAUNCH_KEY, &m.key, "key without a policy");
	b.reserved[2] = 1;
	refused(EINVAL, fd, KCORE_LAUNCH_POLICY, &b, "policy, reserved");
	b = (struct kcore_launch_block){ .address = 8 };
	refused(EFAULT, fd, KCORE_LAUNCH_POLICY, &b, "policy, bad pointer");
	must(ioctl(fd, KCORE_LAUNCH_POLICY, &block), "KCORE_LAUNCH_POLICY");
	refused(EBUSY, fd, KCORE_LAUNCH_POLICY, &block, "second policy");
	refused(EINVAL, fd, KCORE_LAUNCH_SEGMENT, &good, "sealed segment without a key");
	k.reserved[5] = 1;
	refused(EINVAL, fd, KCORE_LAUNCH_KEY, &k, "key, reserved");
	must(ioctl(fd, KCORE_LAUNCH_KEY, &m.key), "KCORE_LAUNCH_KEY");
	refused(EBUSY, fd, KCORE_LAUNCH_KEY, &m.key, "second key");
#define BAD(field, v) do { s = good; s.field = (v); refused(EINVAL, fd, KCORE_LAUNCH_SEGMENT, &s, #field " " #v); } while (0)
	BAD(flags, KCORE_SEGMENT_SEALED);
	BAD(flags, KCORE_SEGMENT_MEASURED);
	BAD(flags, 7);
	BAD(length, good.length - 1);
	BAD(tags, good.tags + 8);
	BAD(tags, good.tags + 16);
	BAD(tags, ~15UL);
	BAD(reserved[0], 1);
#undef BAD
	must(ioctl(fd, KCORE_LAUNCH_SEGMENT, &good), "KCORE_LAUNCH_SEGMENT");
	close(fd);

	fd = must(open("/dev/kcore", O_RDWR | O_CLOEXEC), "/dev/kcore");
	must(ioctl(fd, KCORE_LAUNCH_CONFIG, &m.config), "KCORE_LAUNCH_CONFIG");
	good.flags = 0;
	good.tags = 0;
	must(ioctl(fd, KCORE_LAUNCH_SEGMENT, &good), "KCORE_LAUNCH_SEGMENT");
	refused(EBUSY, fd, KCORE_LAUNCH_POLICY, &block, "policy after a segment");
}

/* ---- The first process ---------------------------------------------------------------------------------------- */

static const struct scenario {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "one-vcpu", one_vcpu },
	{ "two-vcpus", two_vcpus },
	{ "eight-vcpus", eight_vcpus },
	{ "small-pages", small_pages },
	{ "three-at-once", three_at_once },
	{ "ten-after-another", ten_after_another },
	{ "killed", killed },
	{ "too-little-locked-memory", too_little_locked_memory },
	{ "closed-before-the-vm", closed_before_the_vm },
	{ "bad-launches", bad_launches },
	{ "a-plain-vm", a_plain_vm },
	{ "meddling", meddling },
	{ "sealed-image", sealed_image },
	{ "sealed-image-eight-vcpus", sealed_image_eight_vcpus },
	{ "refused-images", refused_images },
	{ "limited-memory", limited_memory },
	{ "bad-policies", bad_policies },
};

/* Granules that are not the host's, and realms: 0 and 0 once the last process of a realm is gone. */
static bool all_returned(void)
{
	struct kcore_sys_info info;
	int fd = must(open("/dev/kcore", O_RDONLY | O_CLOEXEC), "/dev/kcore");

	for (int i = 0; i < 500; i++) {
		must(ioctl(fd, KCORE_SYS_INFO, &info), "KCORE_SYS_INFO");
		if (!info.granules_delegated && !info.realms)
			break;
		usleep(10000);
	}
	close(fd);
	return !info.granules_delegated && !info.realms;
}

static void try(const struct scenario *s)
{
	pid_t child = fork();
	int status;

	if (!child) {
		s->run();
		_exit(0);
	}
	waitpid(child, &status, 0);
	if (status)
		printf("FAIL %s: status %x\n", s->name, status);
	else if (!all_returned())
		printf("FAIL %s: granules are missing\n", s->name);
	else
		printf("PASS %s\n", s->name);
}

int main(void)
{
	int console;

	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	console = open("/dev/console", O_RDWR);
	dup2(console, 0);
	dup2(console, 1);
	dup2(console, 2);
	setvbuf(stdout, NULL, _IONBF, 0);

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		try(&scenarios[i]);
	printf("done\n");
	reboot(RB_POWER_OFF);
	return 0;
}
