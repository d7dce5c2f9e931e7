/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The whole manager on the made-up system, and clients of it in the same thread: they and the daemon take turns. */

#include "fake-system.h"

#include "../../libkcore/io.kcore.Manager.h"
#include "../guest.h"

extern char *test_dir, *manager_path, *launch_path;
extern Manager *manager;

/* The daemon lets root in, so these tests need root: 77, the status of a skipped test, for others, or 0. */
int unless_root(void);
/* Of all tests: a directory of their own. */
int group_setup(void **state);
int group_teardown(void **state);
/* Of each test. */
int setup(void **state);
int teardown(void **state);

/* The daemon starts and ends; its guests run on. manager_start_with() starts it with a descriptor that
 * systemd kept under that name. */
void manager_start(void);
void manager_start_with(const char *name, int fd);
void manager_stop(void);

/* Runs the daemon until *done, at most ms milliseconds; with NULL for so long. */
void run_until(const bool *done, unsigned ms);

struct call {
        bool done;
        sd_json_variant *reply;
        char *error;
        size_t notifications;
        int fds[3]; /* the first that were passed */
};

void call_done(struct call *c);
/* A connection whose answer goes to c. */
sd_varlink *client(struct call *c, const char *path);
void call(struct call *c, const char *method, sd_json_variant *parameters);
void call_name(struct call *c, const char *method, const char *name);
/* The same with parameters as text, and with a descriptor or -EBADF. */
void call_text(struct call *c, const char *path, const char *method, const char *parameters, int fd);
void expect_error(struct call *c, const char *error);
void expect_success(struct call *c);

/* A kernel that is good enough to be launched, as a sealed memfd. */
int make_kernel(void);
#define GUEST_A "{\"guest\":{\"name\":\"a\",\"vcpus\":2,\"append\":\"quiet\"},\"kernelFileDescriptor\":0}"
/* The same for an image. */
#define IMAGE_A "{\"guest\":{\"name\":\"a\",\"image\":\"a.kci\"},\"imageFileDescriptor\":0}"
/* parameters is JSON text, fds are pushed in order and named as it says. */
sd_varlink *launch_begin(struct call *c, const char *parameters, const int *fds, size_t n);
void launch(struct call *c, const char *parameters, const int *fds, size_t n);
void launch_a(struct call *c);

const char *status_of(const char *name);
/* Until the guest has that status, however busy this machine is. */
void wait_for_status(const char *name, const char *status);
/* The string at v.a, or v.a.b; or "". */
const char *string_at(sd_json_variant *v, const char *a, const char *b);
