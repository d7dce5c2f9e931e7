/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What of a libvirt domain's XML matters to a realm: read by the hook, changed by kcorectl convert. The text is the
 * operator's; it is bounded, and what is ambiguous is refused. */

#include <systemd/sd-id128.h>

#include "../libkcore/util.h"

#define DOMAIN_XML_MAX (4 * MIB)
#define DOMAIN_NAMESPACE "urn:kcore:domain:1"
#define DOMAIN_EMULATOR "/usr/bin/kcore-qemu"

struct domain_xml {
        char *name;
        sd_id128_t uuid;     /* null if there is none: libvirt makes one */
        char *emulator;      /* NULL if there is none: libvirt takes its own */
        uint64_t memory;     /* bytes */
        uint32_t vcpus;
        char *image;         /* of the metadata; NULL if there are none of ours */
        bool has_metadata;   /* an element of our namespace is there, good or not */
};

void domain_xml_done(struct domain_xml *d);
static inline void domain_xml_donep(struct domain_xml *d) {
        domain_xml_done(d);
}

/* -EINVAL with *ret_error, for people. */
int domain_xml_parse(const char *text, size_t size, struct domain_xml *ret, char **ret_error);

/* Does it say, in whatever way, that it is protected? */
bool domain_xml_says_protected(const struct domain_xml *d);

/* Of a domain that says so: is it consistent, so that it can be started as a realm? -EINVAL with *ret_error. */
int domain_xml_check(const struct domain_xml *d, char **ret_error);

/* The same domain as a realm made of image, which is for that much memory (bytes) and so many vCPUs; *ret: the text,
 * formatted as libvirt formats it. before (may be NULL): the old text in the same format. -EINVAL with *ret_error. */
int domain_xml_convert(const char *text, size_t size, const char *image, uint64_t memory, uint32_t vcpus, char **ret, char **before, char **ret_error);
