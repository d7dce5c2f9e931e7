/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What hook and emulator say, and why. */

#include <systemd/sd-json.h>

#include "../libkcore/util.h"

/* Leaves the text in *ret_error, for people. Returns -EINVAL; -ENOMEM with *ret_error NULL if there is no memory. */
int refuse(char **ret_error, const char *format, ...) _printf_(2, 3);

/* The text of a reply's field; "" if reply is NULL, has no such field, or another kind of value there. Valid as long as reply. */
const char *reply_text(sd_json_variant *reply, const char *field);
