/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures, on the server, a call of the host's kernel to KCore and back, by
 * way of an ioctl of /dev/kcore that makes one, and the same ioctl without the
 * call: one that /dev/kcore does not know. Prints lines as the benchmark guest does.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "../kvm-patches/uapi/kcore.h"

#define BATCHES 31
#define BATCH 64

static uint64_t now(void)
{
	uint64_t t;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(t) : : "memory");
	return t;
}

static void measure(const char *operation, int fd, unsigned long request, int error)
{
	struct kcore_counter_read counter = {};

	printf("BENCH %s %d", operation, BATCH);
	for (int b = -1; b < BATCHES; b++) { /* the first one warms up */
		uint64_t begin = now(), end;

		for (int i = 0; i < BATCH; i++) {
			errno = 0;
			(void)ioctl(fd, request, &counter);
			if (errno != error) {
				perror("ioctl");
				exit(1);
			}
		}
		end = now();
		if (b >= 0)
			printf(" %" PRIu64, end - begin);
	}
	printf("\n");
}

int main(void)
{
	int fd = open("/dev/kcore", O_RDWR);

	if (fd < 0) {
		perror("/dev/kcore");
		return 1;
	}
	measure("ioctl", fd, _IO(KCORE_IOC_MAGIC, 0xff), ENOTTY);
	measure("host_call", fd, KCORE_COUNTER_READ, 0);
	return 0;
}
