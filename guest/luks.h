/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guest's encrypted disk. Its header comes from the host, who may have written any other in its place:
 * one without encryption, or with a key slot that any key opens (CVE-2025-59054, CVE-2025-58356). So the
 * header is read once into the guest's memory, checked there, and only that copy is used. */

#include "../attest/kbs/secret.h"

#define LUKS_HEADER_SIZE (16 * MIB)  /* read from the start of the disk; where luksFormat lets the data begin */
#define LUKS_METADATA_MAX (64 * KIB) /* of its JSON */
#define LUKS_KEY_MIN 16              /* bytes of the disk key */

/* Checks the JSON of a LUKS2 header. It must be what `cryptsetup luksFormat --type luks2 --cipher
 * aes-xts-plain64 --key-size 512` makes and nothing else: one segment, encrypted with aes-xts-plain64; one key
 * slot, for 512 bits, encrypted with the same; argon2id or PBKDF2 of bounded cost; one digest; no integrity,
 * no reencryption, no requirements. -EBADMSG if it is malformed, -EPERM if it is anything else; *ret_reason (a
 * literal) says what. */
int luks_check(const char *json, size_t size, const char **ret_reason);

/* Checks the header of disk and maps what it encrypts as /dev/mapper/NAME with the key. With name NULL nothing
 * is mapped. *ret_reason is to be freed:
 *   -EBADMSG, -EPERM   the header is refused, see luks_check
 *   -EKEYREJECTED      its key slot does not open with this key
 *   -EINVAL            the key is too short, or the disk is no block device or file
 *   or what the system said. */
int luks_open(const char *disk, const char *name, const struct secret *key, char **ret_reason);
