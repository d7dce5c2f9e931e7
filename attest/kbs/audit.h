/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The audit log: one JSON object a line. It holds no secret: of a session only a digest of its id, of a
 * resource its name. */

#include "../../libkcore/util.h"

struct audit {
        int fd;
};

struct audit_event {
        const char *event;   /* "challenge", "attest", "resource", "refuse" */
        const char *peer;    /* address, or NULL */
        const char *session; /* id, or NULL */
        bool granted;
        const char *subject; /* reference that accepted, or resource, or NULL */
        const char *reason;  /* of a refusal, or NULL */
};

/* Opens or creates the file to append to it. "-" is standard output. */
int audit_open(struct audit *a, const char *path);
/* The line is written in one go. What can not be logged must not be granted. */
int audit_write(struct audit *a, const struct audit_event *e);
