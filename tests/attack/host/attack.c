// SPDX-License-Identifier: Apache-2.0
/*
 * The hostile host's hands. Reads one command per line, answers each with one line
 * "@ ok VALUES..." or "@ ERROR TEXT". All numbers are hexadecimal. As process 1 of the small attack
 * machine it mounts what it needs, loads the module and serves the console; on the full server it is
 * started by hand and serves its standard input.
 *
 *   smc X0 ...                      -> x0-x17
 *   calls [irq] X0 ... [; [irq] X0 ...]  -> x0-x17 of each, separated by ";", up to the last that is not 0
 *                                      (irq: with an interrupt pending)
 *   alloc ORDER                     -> pa          free PA ORDER
 *   rd l|c|d PA LEN                 -> bytes       wr l|c|d PA BYTES     (linear, cached, device)
 *   rdw PA LEN                      -> OFFSET=VALUE of all words that are not 0 (linear map)
 *   wrw PA LEN OFFSET=VALUE...      zeroes, but for these words
 *   fill PA LEN BYTE                all of it this byte, by user space
 *   sums PA LEN                     -> of each page a sum of its words (FNV-1a), by user space
 *   exec PA                         -> x0          (kernel fetches)
 *   urd PA LEN  uwr PA BYTES  uexec PA             (user space, through mmap)
 *   file PATH OFFSET LEN [BYTES]    -> bytes       (pread, or pwrite)
 *   bar BDF OFF LEN [VALUE]         -> value       (BAR 1)
 *   run REC RUN MSECS               -> rmi reason exits   (with PL011 output emulated)
 *   uart                            -> bytes the guest wrote to its PL011
 *   race MSECS CPU: X0 X1 ... [; X0 ...]  / CPU: ...      -> per call: how often each x0
 *                                                 (X0 = 0: no call, sleep X1 microseconds)
 *   prog PATH ARGS...               -> exit status, what it printed
 *   pin CPU     cpu N 0|1     pid     log     quit
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../module/kcore_attack.h"

#define PAGE 4096UL
#define MAX_WORDS 4096
#define RMI_REC_ENTER 0xC400015CUL

static int device = -1;
static FILE *out;
static char **word;
static int words;

/* ---- small things ------------------------------------------------------------------------- */

static uint64_t number(int i)
{
	return i < words ? strtoull(word[i], NULL, 16) : 0;
}

static void fail(const char *what)
{
	fprintf(out, "@ %s %s\n", strerrorname_np(errno), what);
}

static void print_bytes(const uint8_t *p, size_t n)
{
	fputs("@ ok ", out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", p[i]);
	fputc('\n', out);
}

static size_t parse_bytes(const char *text, uint8_t *to, size_t room)
{
	size_t n = strlen(text) / 2;

	if (n > room)
		n = room;
	for (size_t i = 0; i < n; i++) {
		unsigned int byte = 0;

		sscanf(text + 2 * i, "%2x", &byte);
		to[i] = (uint8_t)byte;
	}
	return n;
}

static uint64_t msecs(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* ---- memory ------------------------------------------------------------------------------- */

static int kernel_access(uint64_t pa, void *buf, uint32_t len, char how, bool write)
{
	struct kat_mem m = {
		.pa = pa, .buf = (uintptr_t)buf, .len = len, .write = write,
		.how = how == 'l' ? KAT_LINEAR : how == 'c' ? KAT_CACHED : KAT_DEVICE,
	};

	return ioctl(device, KAT_MEM, &m);
}

static void kernel_read(void)
{
	uint8_t buf[PAGE];
	uint32_t len = (uint32_t)number(3);

	if (len > sizeof(buf))
		len = sizeof(buf);
	if (kernel_access(number(2), buf, len, word[1][0], false))
		fail("read");
	else
		print_bytes(buf, len);
}

static void kernel_write(void)
{
	uint8_t buf[PAGE];
	size_t len = parse_bytes(word[3], buf, sizeof(buf));

	if (kernel_access(number(2), buf, (uint32_t)len, word[1][0], true))
		fail("write");
	else
		fputs("@ ok\n", out);
}

/* Pages of the interface are mostly zero, and the console is slow. */
static void sparse_read(void)
{
	uint64_t buf[PAGE / 8];
	uint32_t len = (uint32_t)number(2);

	if (len > sizeof(buf))
		len = sizeof(buf);
	if (kernel_access(number(1), buf, len, 'l', false)) {
		fail("read");
		return;
	}
	fputs("@ ok", out);
	for (uint32_t i = 0; i < len / 8; i++)
		if (buf[i])
			fprintf(out, " %x=%lx", i * 8, (unsigned long)buf[i]);
	fputc('\n', out);
}

static void sparse_write(void)
{
	uint64_t buf[PAGE / 8] = { 0 };
	uint32_t len = (uint32_t)number(2);

	for (int i = 3; i < words; i++) {
		char *value;
		uint64_t offset = strtoull(word[i], &value, 16);

		if (*value == '=' && offset / 8 < PAGE / 8)
			buf[offset / 8] = strtoull(value + 1, NULL, 16);
	}
	if (kernel_access(number(1), buf, len < PAGE ? len : PAGE, 'l', true))
		fail("write");
	else
		fputs("@ ok\n", out);
}

static void kernel_exec(void)
{
	struct kat_exec e = { .pa = number(1) };

	if (ioctl(device, KAT_EXEC, &e))
		fail("exec");
	else
		fprintf(out, "@ ok %lx\n", (unsigned long)e.result);
}

static sigjmp_buf escape;

static void on_fault(int sig)
{
	siglongjmp(escape, sig);
}

/* User space maps pa and touches it: 'r', 'w' or 'x'. A signal is the refusal. */
static void user_access(char kind)
{
	uint64_t pa = number(1);
	uint8_t buf[PAGE] = { 0 };
	size_t len = kind == 'w' ? parse_bytes(word[2], buf, sizeof(buf)) : number(2);
	int prot = PROT_READ | (kind == 'w' ? PROT_WRITE : 0) | (kind == 'x' ? PROT_EXEC : 0);
	uint8_t *map = mmap(NULL, 2 * PAGE, prot, MAP_SHARED, device, (off_t)(pa & ~(PAGE - 1)));
	uint8_t *at;
	int sig;

	if (map == MAP_FAILED) {
		fail("mmap");
		return;
	}
	at = map + (pa & (PAGE - 1));
	if (len > PAGE)
		len = PAGE;
	sig = sigsetjmp(escape, 1);
	if (sig) {
		fprintf(out, "@ SIG%s user\n", sigabbrev_np(sig));
	} else if (kind == 'r') {
		memcpy(buf, at, len);
		print_bytes(buf, len);
	} else if (kind == 'w') {
		memcpy(at, buf, len);
		fputs("@ ok\n", out);
	} else {
		fprintf(out, "@ ok %lx\n", ((unsigned long (*)(void))(uintptr_t)at)());
	}
	munmap(map, 2 * PAGE);
}

static int fill_pages(void *map, size_t len, int byte)
{
	int sig = sigsetjmp(escape, 1);

	if (!sig)
		memset(map, byte, len);
	return sig;
}

static int sum_pages(const uint64_t *map, size_t pages, uint64_t *sum)
{
	int sig = sigsetjmp(escape, 1);

	for (size_t p = 0; !sig && p < pages; p++) {
		sum[p] = 0xcbf29ce484222325;
		for (size_t i = 0; i < PAGE / 8; i++)
			sum[p] = (sum[p] ^ map[p * (PAGE / 8) + i]) * 0x100000001b3;
	}
	return sig;
}

/* User space maps many pages, and fills them or sums each up. A signal is the refusal. */
static void many_pages(bool write)
{
	size_t len = number(2), pages = write ? 0 : len / PAGE;
	uint64_t *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)number(1));
	uint64_t *sum = calloc(pages + 1, sizeof(*sum));
	int sig;

	if (map == MAP_FAILED || sum == NULL) {
		fail("mmap");
		free(sum);
		return;
	}
	sig = write ? fill_pages(map, len, (int)number(3)) : sum_pages(map, pages, sum);
	if (sig)
		fprintf(out, "@ SIG%s user", sigabbrev_np(sig));
	else
		fputs("@ ok", out);
	for (size_t p = 0; !sig && p < pages; p++)
		fprintf(out, " %lx", (unsigned long)sum[p]);
	fputc('\n', out);
	munmap(map, len);
	free(sum);
}

static void file_access(void)
{
	uint8_t buf[PAGE];
	bool write = words > 4;
	int fd = open(word[1], (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	size_t len = write ? parse_bytes(word[4], buf, sizeof(buf)) : number(3);
	ssize_t n;

	if (fd < 0) {
		fail("open");
		return;
	}
	if (len > sizeof(buf))
		len = sizeof(buf);
	n = write ? pwrite(fd, buf, len, (off_t)number(2)) : pread(fd, buf, len, (off_t)number(2));
	if (n < 0)
		fail(write ? "pwrite" : "pread");
	else if (write)
		fprintf(out, "@ ok %zx\n", (size_t)n);
	else
		print_bytes(buf, (size_t)n);
	close(fd);
}

/* ---- PCI ---------------------------------------------------------------------------------- */

static int pci_open(const char *bdf, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	return open(path, O_RDWR | O_SYNC | O_CLOEXEC);
}

static void bar_access(void)
{
	int fd = pci_open(word[1], "resource1");
	uint64_t off = number(2), len = number(3), value = number(4);
	volatile uint8_t *bar;

	if (fd < 0) {
		fail("resource1");
		return;
	}
	bar = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (bar == MAP_FAILED) {
		fail("mmap");
		return;
	}
	if (words > 4) {
		if (len == 8)
			*(volatile uint64_t *)(bar + off) = value;
		else
			*(volatile uint32_t *)(bar + off) = (uint32_t)value;
	} else {
		value = len == 8 ? *(volatile uint64_t *)(bar + off) :
				   *(volatile uint32_t *)(bar + off);
	}
	munmap((void *)bar, PAGE);
	fprintf(out, "@ ok %lx\n", (unsigned long)value);
}

/* ---- SMC and running a guest ---------------------------------------------------------------- */

static void smc(void)
{
	struct kat_smc call = { 0 };

	for (int i = 0; i < 18; i++)
		call.x[i] = number(i + 1);
	if (ioctl(device, KAT_SMC, &call)) {
		fail("smc");
		return;
	}
	fputs("@ ok", out);
	for (int i = 0; i < 18; i++)
		fprintf(out, " %lx", (unsigned long)call.x[i]);
	fputc('\n', out);
}

/* Many calls in one line: the console is slow. */
static void calls(void)
{
	fputs("@ ok", out);
	for (int i = 1; i < words; i++) {
		struct kat_smc call = { .interrupt = !strcmp(word[i], "irq") };
		int n = 0, last = 17;

		for (i += call.interrupt != 0; i < words && word[i][0] != ';'; i++)
			if (n < 18)
				call.x[n++] = number(i);
		if (ioctl(device, KAT_SMC, &call)) {
			fputs(" failed\n", out);
			return;
		}
		while (last > 0 && call.x[last] == 0)
			last--;
		for (n = 0; n <= last; n++)
			fprintf(out, " %lx", (unsigned long)call.x[n]);
		fputs(" ;", out);
	}
	fputc('\n', out);
}

static char uart_text[1 << 18];
static size_t uart_length;

/*
 * Enter a REC until it leaves for a reason that is not ours to deal with. Interrupts are the host's own;
 * accesses to the page of the PL011 (its address in the lower bits, whatever the alias) are emulated:
 * output is kept, reads give 0 (transmitter idle, nothing received).
 */
static void run(void)
{
	uint64_t rec = number(1), page = number(2), end = msecs() + number(3), exits = 0;
	volatile uint64_t *run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)page);
	uint64_t x0, reason = 0;

	if (run == MAP_FAILED) {
		fail("mmap");
		return;
	}
	do {
		struct kat_smc call = { .x = { RMI_REC_ENTER, rec, page } };

		if (ioctl(device, KAT_SMC, &call)) {
			fail("smc");
			munmap((void *)run, PAGE);
			return;
		}
		exits++;
		x0 = call.x[0];
		if (x0)
			break;
		run[0] &= 0xc; /* traps of WFI and WFE stay */
		reason = run[0x800 / 8];
		if (reason == 0) {
			uint64_t esr = run[0x900 / 8], hpfar = run[0x910 / 8], far = run[0x908 / 8];
			uint64_t ipa = (hpfar & ~0xfUL) << 8;

			if ((esr >> 26) != 0x24 || !(esr & (1 << 24)) ||
			    (ipa & 0x1fffffff) != 0x09000000)
				break;
			if ((esr & 0x40) && far == 0 && uart_length < sizeof(uart_text))
				uart_text[uart_length++] = (char)run[0xa00 / 8];
			run[0x200 / 8] = 0;
			run[0] |= 1;
		} else if (reason != 1) {
			break;
		}
	} while (msecs() < end);
	fprintf(out, "@ ok %lx %lx %lx\n", (unsigned long)x0, (unsigned long)reason,
		(unsigned long)exits);
	munmap((void *)run, PAGE);
}

/* ---- races ---------------------------------------------------------------------------------- */

#define MAX_RACERS 8
#define MAX_CALLS 8
#define MAX_KINDS 16

struct racer {
	pthread_t thread;
	int cpu;
	int calls;
	uint64_t x[MAX_CALLS][7];
	uint64_t kind[MAX_CALLS][MAX_KINDS], count[MAX_CALLS][MAX_KINDS];
	uint64_t end;
};

static pthread_barrier_t start_line;

static void *race_thread(void *arg)
{
	struct racer *r = arg;

	pin(r->cpu);
	pthread_barrier_wait(&start_line);
	for (int turn = 0;; turn++) {
		int c = turn % r->calls, k = 0;
		struct kat_smc call = { 0 };

		memcpy(call.x, r->x[c], sizeof(r->x[c]));
		if (call.x[0] == 0)
			usleep((useconds_t)call.x[1]);
		else if (ioctl(device, KAT_SMC, &call))
			return NULL;
		while (k < MAX_KINDS - 1 && r->count[c][k] && r->kind[c][k] != call.x[0])
			k++;
		r->kind[c][k] = call.x[0];
		r->count[c][k]++;
		/* End only after a whole round, so that a pair of calls stays a pair. */
		if (c == r->calls - 1 && msecs() > r->end)
			return NULL;
	}
}

/* race MSECS CPU: x0 x1 ; x0 x1 / CPU: x0 ... */
static void race(void)
{
	static struct racer racer[MAX_RACERS];
	int n = -1, x = 0;

	memset(racer, 0, sizeof(racer));
	for (int i = 2; i < words; i++) {
		size_t len = strlen(word[i]);

		if (len > 1 && word[i][len - 1] == ':') {
			if (++n == MAX_RACERS)
				break;
			racer[n].cpu = atoi(word[i]);
			racer[n].calls = 1;
			racer[n].end = msecs() + number(1);
			x = 0;
		} else if (n >= 0 && word[i][0] == ';') {
			if (racer[n].calls == MAX_CALLS)
				break;
			racer[n].calls++;
			x = 0;
		} else if (n >= 0 && word[i][0] != '/' && x < 7) {
			racer[n].x[racer[n].calls - 1][x++] = number(i);
		}
	}
	if (n < 0) {
		fputs("@ EINVAL race\n", out);
		return;
	}
	pthread_barrier_init(&start_line, NULL, (unsigned int)n + 1);
	for (int i = 0; i <= n; i++)
		pthread_create(&racer[i].thread, NULL, race_thread, &racer[i]);
	for (int i = 0; i <= n; i++)
		pthread_join(racer[i].thread, NULL);
	fputs("@ ok", out);
	for (int i = 0; i <= n; i++)
		for (int c = 0; c < racer[i].calls; c++)
			for (int k = 0; k < MAX_KINDS && racer[i].count[c][k]; k++)
				fprintf(out, " %d.%d=%lx*%lx", i, c, (unsigned long)racer[i].kind[c][k],
					(unsigned long)racer[i].count[c][k]);
	fputc('\n', out);
}

/* ---- commands ------------------------------------------------------------------------------- */

static void pages(bool give_back)
{
	struct kat_pages p = { .pa = number(1), .order = give_back ? number(2) : number(1) };

	if (ioctl(device, give_back ? KAT_FREE : KAT_ALLOC, &p))
		fail("pages");
	else
		fprintf(out, "@ ok %lx\n", (unsigned long)p.pa);
}

static void cpu_online(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", (int)number(1));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, number(2) ? "1" : "0", 1) != 1)
		fail("cpu");
	else
		fputs("@ ok\n", out);
	if (fd >= 0)
		close(fd);
}

static void program(void)
{
	static char text[1 << 16];
	char *argv[16] = { 0 };
	size_t length = 0;
	ssize_t n;
	int p[2], status = 0;
	pid_t child;

	for (int i = 1; i < words && i < 16; i++)
		argv[i - 1] = word[i];
	if (pipe(p)) {
		fail("pipe");
		return;
	}
	child = fork();
	if (child == 0) {
		dup2(p[1], 1);
		dup2(p[1], 2);
		close(p[0]);
		close(p[1]);
		execv(argv[0], argv);
		_exit(127);
	}
	close(p[1]);
	while (length < sizeof(text) && (n = read(p[0], text + length, sizeof(text) - length)) > 0)
		length += (size_t)n;
	close(p[0]);
	waitpid(child, &status, 0);
	fprintf(out, "@ ok %x ", status);
	for (size_t i = 0; i < length; i++)
		fprintf(out, "%02x", (unsigned char)text[i]);
	fputc('\n', out);
}

static void kernel_log(void)
{
	static char text[1 << 16];
	int n = klogctl(3, text, sizeof(text));

	print_bytes((uint8_t *)text, n > 0 ? (size_t)n : 0);
}

static bool command(void)
{
	const char *c = word[0];

	if (!strcmp(c, "smc"))
		smc();
	else if (!strcmp(c, "calls"))
		calls();
	else if (!strcmp(c, "fill"))
		many_pages(true);
	else if (!strcmp(c, "sums"))
		many_pages(false);
	else if (!strcmp(c, "alloc"))
		pages(false);
	else if (!strcmp(c, "free"))
		pages(true);
	else if (!strcmp(c, "rd") && words == 4)
		kernel_read();
	else if (!strcmp(c, "wr") && words == 4)
		kernel_write();
	else if (!strcmp(c, "rdw"))
		sparse_read();
	else if (!strcmp(c, "wrw"))
		sparse_write();
	else if (!strcmp(c, "exec"))
		kernel_exec();
	else if (!strcmp(c, "urd") && words == 3)
		user_access('r');
	else if (!strcmp(c, "uwr") && words == 3)
		user_access('w');
	else if (!strcmp(c, "uexec"))
		user_access('x');
	else if (!strcmp(c, "file") && words >= 4)
		file_access();
	else if (!strcmp(c, "bar") && words >= 4)
		bar_access();
	else if (!strcmp(c, "run"))
		run();
	else if (!strcmp(c, "uart"))
		print_bytes((uint8_t *)uart_text, uart_length), uart_length = 0;
	else if (!strcmp(c, "race"))
		race();
	else if (!strcmp(c, "prog") && words > 1)
		program();
	else if (!strcmp(c, "pin"))
		pin((int)number(1)) ? fail("pin") : (void)fputs("@ ok\n", out);
	else if (!strcmp(c, "cpu"))
		cpu_online();
	else if (!strcmp(c, "pid"))
		fprintf(out, "@ ok %x\n", getpid());
	else if (!strcmp(c, "log"))
		kernel_log();
	else if (!strcmp(c, "quit"))
		return false;
	else
		fputs("@ EINVAL unknown command\n", out);
	return true;
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		fprintf(out, "@ %s %s\n", strerrorname_np(errno), path);
	if (fd >= 0)
		close(fd);
}

static void become_init(void)
{
	struct termios t;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("none", "/proc", "proc", 0, NULL);
	mount("none", "/sys", "sysfs", 0, NULL);
	mount("none", "/dev", "devtmpfs", 0, NULL);
	klogctl(8, NULL, 1); /* nothing but panics on the console */
	if (!tcgetattr(0, &t)) {
		cfmakeraw(&t);
		tcsetattr(0, TCSANOW, &t);
	}
	load_module("/kcore_attack.ko");
}

int main(int argc, char **argv)
{
	static char *list[MAX_WORDS];
	char *line = NULL;
	size_t size = 0;
	struct sigaction catch = { .sa_handler = on_fault };

	out = stdout;
	setvbuf(out, NULL, _IOFBF, 1 << 16);
	if (getpid() == 1)
		become_init();
	else if (argc > 1)
		load_module(argv[1]);
	sigaction(SIGBUS, &catch, NULL);
	sigaction(SIGSEGV, &catch, NULL);
	sigaction(SIGILL, &catch, NULL);
	device = open("/dev/kcore-attack", O_RDWR | O_CLOEXEC);
	if (device < 0)
		fail("/dev/kcore-attack");
	fputs("@ ready\n", out);
	fflush(out);
	word = list;
	while (getline(&line, &size, stdin) > 0) {
		words = 0;
		for (char *w = strtok(line, " \r\n"); w && words < MAX_WORDS; w = strtok(NULL, " \r\n"))
			list[words++] = w;
		if (words && !command())
			break;
		fflush(out);
	}
	if (getpid() == 1) {
		reboot(RB_POWER_OFF);
		for (;;)
			pause();
	}
	return 0;
}
