/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The broker's transport: HTTP over TLS (libmicrohttpd). One thread serves; connections are limited in
 * number, in number per address, in idle time and in total time. */

#include "broker.h"

#define SERVER_CONNECTIONS_MAX 128
#define SERVER_CONNECTIONS_PER_ADDRESS_MAX 16
#define SERVER_IDLE_SECONDS 10
#define SERVER_CONNECTION_SECONDS 30 /* a connection ends then, whatever it does */

struct server;

/* address: "127.0.0.1", "::" (both families, or IPv4 alone where there is no IPv6), ...; port 0: any. certificate and key as PEM text. */
int server_start(
                struct broker *broker,
                const char *address,
                uint16_t port,
                const char *certificate,
                const char *key,
                struct server **ret);
uint16_t server_port(struct server *s);
/* Ends connections that are too old. To be called about once a second. */
void server_tick(struct server *s);
void server_stop(struct server *s);
