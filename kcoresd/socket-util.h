/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Stream sockets in the file system. The descriptors are non-blocking. */

int socket_listen_unix(const char *path, unsigned mode);
int socket_connect_unix(const char *path);
