/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

void log_guest(const struct guest_state *s, int priority, const char *format, ...) {
        char message[1024], uuid[SD_ID128_UUID_STRING_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        if (getenv("JOURNAL_STREAM") &&
            sd_journal_send("MESSAGE=Guest %s %s", s->config.name, message,
                            "PRIORITY=%d", priority,
                            "KCORE_GUEST=%s", s->config.name,
                            "KCORE_GUEST_UUID=%s", sd_id128_to_uuid_string(s->config.uuid, uuid),
                            "KCORE_GUEST_STATUS=%s", guest_status_to_string(s->status),
                            NULL) >= 0)
                return;
        fprintf(stderr, "<%d>Guest %s %s\n", priority, s->config.name, message);
}
