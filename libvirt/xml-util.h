/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files that change a domain's XML do to a tree of libxml2. A parent may be NULL: then nothing is found, made or dropped. */

#include <libxml/tree.h>

#include "../libkcore/util.h"

#define XML(s) ((const xmlChar *) (s))

static inline void xml_freep(xmlChar **s) {
        if (*s)
                xmlFree(*s);
}
#define _cleanup_xml_ _cleanup_(xml_freep)

/* Elements of libvirt's own are in no namespace. */
static inline bool is_element(xmlNodePtr n, const char *name) {
        return n->type == XML_ELEMENT_NODE && !n->ns && xmlStrEqual(n->name, XML(name));
}

/* The next element of that name among n and its siblings. */
static inline xmlNodePtr next_named(xmlNodePtr n, const char *name) {
        while (n && !is_element(n, name))
                n = n->next;
        return n;
}

/* The child of that name, made if it is not there; NULL without memory. */
static inline xmlNodePtr need(xmlNodePtr parent, const char *name) {
        xmlNodePtr n = parent ? next_named(parent->children, name) : NULL;

        return n || !parent ? n : xmlNewChild(parent, NULL, XML(name), NULL);
}

static inline void set_attribute(xmlNodePtr n, const char *name, const char *value) {
        if (n)
                xmlSetProp(n, XML(name), XML(value));
}

static inline void take_out(xmlNodePtr n) {
        xmlUnlinkNode(n);
        xmlFreeNode(n);
}

/* All children of that name. */
static inline void drop(xmlNodePtr parent, const char *name) {
        xmlNodePtr n;

        while (parent && (n = next_named(parent->children, name)))
                take_out(n);
}
