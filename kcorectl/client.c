/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <inttypes.h>

#include "../libkcore/io.kcore.Manager.h"

/* A launch waits for the realm, a stop for the guest: the daemon has time limits of its own. */
#define CALL_TIMEOUT_USEC (3700 * USEC_PER_SEC)

int client_try_connect(sd_varlink **ret) {
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        int r;

        r = sd_varlink_connect_address(&link, context.socket);
        if (r < 0)
                return r;
        r = sd_varlink_set_allow_fd_passing_input(link, true);
        r = r < 0 ? r : sd_varlink_set_allow_fd_passing_output(link, true);
        r = r < 0 ? r : sd_varlink_set_relative_timeout(link, CALL_TIMEOUT_USEC);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(link);
        return 0;
}

int client_connect(sd_varlink **ret) {
        int r;

        r = client_try_connect(ret);
        if (r >= 0)
                return 0;
        if (r == -EACCES || r == -EPERM)
                return report_error(
                                EXIT_PERMISSION, "PermissionDenied", "Run as root, or as a member of the group kcore.",
                                "you may not talk to kcoresd");
        return report_error(
                        EXIT_NO_DAEMON, "NoDaemon", "Start it: systemctl start kcoresd.socket",
                        "kcoresd can not be reached at %s: %s", context.socket,
                        r == -ENOENT ? "it is not running" : strerror(-r));
}

/* reason: how it ended; "" if it has not, but is not far enough. */
static int report_not_running(const char *name, const char *status, const char *reason) {
        _cleanup_free_ char *fix = NULL;

        if (isempty(reason))
                return report_error(EXIT_STATE, "GuestNotRunning", NULL, "the guest \"%s\" is not running (it is %s)", name, status);
        if (asprintf(&fix, "What it wrote: kcorectl log %s", name) < 0)
                fix = NULL;
        return report_error(
                        EXIT_STATE, "GuestNotRunning", fix, "the guest \"%s\" is not running any more: it %s: %s", name,
                        streq(status, "failed") ? "failed" : "ended", reason);
}

/* What people read, for each error of the interface. */
int client_report(const char *error_id, sd_json_variant *p) {
        const char *name = field_string(p, "name"), *message = field_string(p, "message");

        if (streq(error_id, ERROR_NO_SUCH_GUEST))
                return report_error(EXIT_NO_GUEST, "NoSuchGuest", NULL, "there is no guest \"%s\"", name);
        if (streq(error_id, ERROR_GUEST_EXISTS))
                return report_error(EXIT_STATE, "GuestExists", "Give it another name, or stop the other guest first.",
                                    "a guest \"%s\" is running already", name);
        if (streq(error_id, ERROR_GUEST_NOT_RUNNING))
                return report_not_running(name, field_string(p, "status"), field_string(p, "reason"));
        if (streq(error_id, ERROR_TOO_MANY_GUESTS))
                return report_error(EXIT_FAILED, "TooManyGuests", "Stop some guests.",
                                    "there are %" PRIu64 " guests already, no more are allowed", field_unsigned(p, "limit"));
        if (streq(error_id, ERROR_INVALID_GUEST))
                return report_error(EXIT_INVALID, "InvalidGuest", NULL, "%s", message);
        if (streq(error_id, ERROR_CHECK_FAILED))
                return report_error(EXIT_CHECK_FAILED, "CheckFailed", field_string(p, "fix"), "%s: %s",
                                    field_string(p, "title"), message);
        if (streq(error_id, ERROR_LAUNCH_FAILED))
                return report_error_with(EXIT_FAILED, "LaunchFailed", NULL, "page", sd_json_variant_by_key(p, "page"),
                                         "the guest \"%s\" could not be launched: %s", name, message);
        if (streq(error_id, ERROR_BUSY))
                return report_error(EXIT_FAILED, "Busy", "Try again later.", "too many clients use the guest \"%s\"", name);
        if (streq(error_id, ERROR_MANAGED_BY_LIBVIRT))
                return report_error(EXIT_STATE, "ManagedByLibvirt", "Use virsh: virsh shutdown, virsh destroy, virsh console.",
                                    "the guest \"%s\" is a domain of libvirt", name);
        if (streq(error_id, ERROR_NO_CORE))
                return report_error(EXIT_CHECK_FAILED, "NoCore", "See kcorectl doctor.", "%s", message);
        if (streq(error_id, SD_VARLINK_ERROR_PERMISSION_DENIED))
                return report_error(EXIT_PERMISSION, "PermissionDenied", "Run as root, or as a member of the group kcore.",
                                    "you may not talk to kcoresd");
        if (streq(error_id, SD_VARLINK_ERROR_DISCONNECTED))
                return report_error(EXIT_FAILED, "Disconnected", "If it was restarted, kcorectl list tells what became of it.",
                                    "kcoresd closed the connection");
        if (streq(error_id, SD_VARLINK_ERROR_TIMEOUT))
                return report_error(EXIT_FAILED, "TimedOut", NULL, "kcoresd does not answer");
        if (streq(error_id, SD_VARLINK_ERROR_METHOD_NOT_FOUND) || streq(error_id, SD_VARLINK_ERROR_INTERFACE_NOT_FOUND))
                return report_error(EXIT_FAILED, "Version", "Restart it: systemctl restart kcoresd",
                                    "the kcoresd that runs is of another version");
        return report_error(EXIT_FAILED, "Error", NULL, "kcoresd answered with error %s", error_id);
}

int client_call(sd_varlink *link, const char *method, sd_json_variant *parameters, sd_json_variant **ret) {
        sd_json_variant *reply = NULL;
        const char *error_id = NULL;
        int r;

        r = sd_varlink_call(link, method, parameters, &reply, &error_id);
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "the call to kcoresd failed: %s", strerror(-r));
        if (error_id)
                return client_report(error_id, reply);
        if (ret)
                *ret = reply;
        return 0;
}
