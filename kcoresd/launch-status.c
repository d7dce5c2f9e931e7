/* SPDX-License-Identifier: Apache-2.0 */
#include "launch-status.h"

#include <inttypes.h>

int launch_status_to_json(const struct kcore_launch_status *s, sd_json_variant **ret) {
        return sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_STRING("state", kcore_launch_state_to_string(s->state)),
                        SD_JSON_BUILD_PAIR_UNSIGNED("id", s->realm_id),
                        SD_JSON_BUILD_PAIR_UNSIGNED("ipaBits", s->s2sz),
                        SD_JSON_BUILD_PAIR_UNSIGNED("vcpus", s->vcpus),
                        SD_JSON_BUILD_PAIR_UNSIGNED("donatedPages", s->pages_donated),
                        SD_JSON_BUILD_PAIR_UNSIGNED("sharedPages", s->pages_shared),
                        SD_JSON_BUILD_PAIR_UNSIGNED("tablePages", s->pages_meta),
                        SD_JSON_BUILD_PAIR_UNSIGNED("blocks2M", s->blocks_2m),
                        SD_JSON_BUILD_PAIR_UNSIGNED("exits", s->exits));
}

void launch_failure_describe(const struct kcore_launch_status *s, const char *page, char **ret) {
        const char *refusal = kcore_launch_refusal(s);
        char rmi[64] = "";

        if (s->rmi_command != 0)
                snprintf(rmi, sizeof(rmi), " (RMI command 0x%04" PRIx32 " answered %" PRIu32 ")", s->rmi_command, s->rmi_status);
        if (asprintf(ret, "the realm could not be made or run: %s%s%s%s", refusal ?: strerror(-s->error), page, rmi,
                     s->error == -ENOMEM ? "; too little memory is free or may be locked" : "") < 0)
                *ret = NULL;
}
