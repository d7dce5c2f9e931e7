/* SPDX-License-Identifier: Apache-2.0 */
#include "domain-xml.h"

#include <inttypes.h>
#include <libxml/parser.h>

#include "../libkcore/guest-config.h"
#include "../libkcore/layout.h"
#include "domain-pci.h"
#include "refuse.h"
#include "xml-util.h"

/* What QEMU needs beside what the realm may lock: its own heap, caches, device queues. */
#define QEMU_OVERHEAD (256 * MIB)

static void doc_freep(xmlDocPtr *d) {
        xmlFreeDoc(*d);
}
#define _cleanup_doc_ _cleanup_(doc_freep)

void domain_xml_done(struct domain_xml *d) {
        free(d->name);
        free(d->emulator);
        free(d->image);
        *d = (struct domain_xml) {};
}

/* --- reading --- */

/* The text of no other document is fetched, and none defines entities. */
static int read_document(const char *text, size_t size, xmlDocPtr *ret, xmlNodePtr *ret_root, char **ret_error) {
        _cleanup_doc_ xmlDocPtr doc = NULL;
        xmlNodePtr root;

        if (size > DOMAIN_XML_MAX)
                return refuse(ret_error, "the domain's XML is larger than 4M");
        doc = xmlReadMemory(text, (int) size, "domain", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS);
        if (!doc)
                return refuse(ret_error, "the domain's XML is not well-formed");
        if (doc->intSubset || doc->extSubset)
                return refuse(ret_error, "the domain's XML has a document type definition");
        root = xmlDocGetRootElement(doc);
        if (!root || !xmlStrEqual(root->name, XML("domain")) || root->ns)
                return refuse(ret_error, "this is not the XML of a domain");
        *ret = TAKE_PTR(doc);
        *ret_root = root;
        return 0;
}

/* At most one may be there: libvirt would take the first, somebody else another. */
static int child(xmlNodePtr parent, const char *name, xmlNodePtr *ret, char **ret_error) {
        *ret = parent ? next_named(parent->children, name) : NULL;
        if (*ret && next_named((*ret)->next, name))
                return refuse(ret_error, "the domain's XML has <%s> twice", name);
        return 0;
}

static int content(xmlNodePtr n, char **ret) {
        _cleanup_xml_ xmlChar *s = n ? xmlNodeGetContent(n) : NULL;

        *ret = NULL;
        if (!s)
                return 0;
        *ret = strdup((const char *) s);
        return *ret ? 0 : -ENOMEM;
}

static int read_memory(xmlNodePtr n, uint64_t *ret, char **ret_error) {
        static const struct {
                const char *name;
                uint64_t factor;
        } units[] = {
                { "b", 1 }, { "bytes", 1 }, { "KB", 1000 }, { "k", KIB }, { "KiB", KIB }, { "MB", 1000000 }, { "M", MIB },
                { "MiB", MIB }, { "GB", 1000000000 }, { "G", GIB }, { "GiB", GIB }, { "T", 1024 * GIB }, { "TiB", 1024 * GIB },
        };
        _cleanup_xml_ xmlChar *unit = xmlGetNoNsProp(n, XML("unit"));
        _cleanup_free_ char *text = NULL;
        uint64_t value, factor = unit ? 0 : KIB;
        int r;

        for (size_t i = 0; unit && i < ELEMENTSOF(units); i++)
                if (streq((const char *) unit, units[i].name))
                        factor = units[i].factor;
        r = content(n, &text);
        if (r < 0)
                return r;
        if (factor == 0 || parse_unsigned(strempty(text), UINT64_MAX / factor, &value) < 0)
                return refuse(ret_error, "<memory> of the domain is not understood");
        *ret = value * factor;
        return 0;
}

/* Ours is <realm image="/PATH"/>, and nothing else. */
static int read_metadata(xmlNodePtr metadata, struct domain_xml *d, char **ret_error) {
        _cleanup_xml_ xmlChar *image = NULL;
        xmlNodePtr found = NULL;

        for (xmlNodePtr n = metadata ? metadata->children : NULL; n; n = n->next) {
                if (n->type != XML_ELEMENT_NODE || !n->ns || !xmlStrEqual(n->ns->href, XML(DOMAIN_NAMESPACE)))
                        continue;
                d->has_metadata = true;
                if (found || !xmlStrEqual(n->name, XML("realm")))
                        return refuse(ret_error, "<metadata> must have one element <realm> of %s", DOMAIN_NAMESPACE);
                found = n;
        }
        if (!found)
                return 0;
        for (xmlAttrPtr a = found->properties; a; a = a->next)
                if (a->ns || !xmlStrEqual(a->name, XML("image")))
                        return refuse(ret_error, "<realm> in <metadata> has an attribute that is not known: %s", (const char *) a->name);
        if (xmlFirstElementChild(found))
                return refuse(ret_error, "<realm> in <metadata> has an element that is not known: %s",
                                (const char *) xmlFirstElementChild(found)->name);
        image = xmlGetNoNsProp(found, XML("image"));
        if (!image || image[0] != '/' || !guest_label_is_valid((const char *) image))
                return refuse(ret_error, "<realm> in <metadata> must name an image by its absolute path: image=\"/...\"");
        d->image = strdup((const char *) image);
        return d->image ? 0 : -ENOMEM;
}

static int read_domain(xmlNodePtr root, struct domain_xml *d, char **ret_error) {
        _cleanup_free_ char *uuid = NULL, *vcpus = NULL;
        xmlNodePtr name, id, memory, vcpu, devices, emulator, metadata;
        uint64_t n = 1;
        int r;

        r = child(root, "metadata", &metadata, ret_error);
        r = r < 0 ? r : read_metadata(metadata, d, ret_error);
        r = r < 0 ? r : child(root, "name", &name, ret_error);
        r = r < 0 ? r : child(root, "uuid", &id, ret_error);
        r = r < 0 ? r : child(root, "memory", &memory, ret_error);
        r = r < 0 ? r : child(root, "vcpu", &vcpu, ret_error);
        r = r < 0 ? r : child(root, "devices", &devices, ret_error);
        r = r < 0 ? r : child(devices, "emulator", &emulator, ret_error);
        r = r < 0 ? r : content(name, &d->name);
        r = r < 0 ? r : content(id, &uuid);
        r = r < 0 ? r : content(vcpu, &vcpus);
        r = r < 0 ? r : content(emulator, &d->emulator);
        if (r < 0)
                return r;
        if (isempty(d->name))
                return refuse(ret_error, "the domain has no name");
        if (uuid && sd_id128_from_string(uuid, &d->uuid) < 0)
                return refuse(ret_error, "the domain's UUID is none");
        if (vcpus && parse_unsigned(vcpus, 4096, &n) < 0)
                return refuse(ret_error, "<vcpu> of the domain is not understood");
        d->vcpus = (uint32_t) n;
        return memory ? read_memory(memory, &d->memory, ret_error) : 0;
}

int domain_xml_parse(const char *text, size_t size, struct domain_xml *ret, char **ret_error) {
        _cleanup_doc_ xmlDocPtr doc = NULL;
        struct domain_xml d = {};
        xmlNodePtr root;
        int r;

        r = read_document(text, size, &doc, &root, ret_error);
        r = r < 0 ? r : read_domain(root, &d, ret_error);
        if (r < 0)
                domain_xml_done(&d);
        else
                *ret = d;
        return r;
}

bool domain_xml_says_protected(const struct domain_xml *d) {
        return d->has_metadata || (d->emulator && streq(d->emulator, DOMAIN_EMULATOR));
}

int domain_xml_check(const struct domain_xml *d, char **ret_error) {
        if (!d->image)
                return refuse(ret_error, "domain %s has the emulator " DOMAIN_EMULATOR ", but its <metadata> name no image: a protected domain has <realm xmlns=\"" DOMAIN_NAMESPACE "\" image=\"...\"/>", d->name);
        if (!d->emulator || !streq(d->emulator, DOMAIN_EMULATOR))
                return refuse(ret_error, "domain %s says in its <metadata> that it is protected, but its <emulator> is %s, not " DOMAIN_EMULATOR ": it is not started unprotected",
                                d->name, strempty(d->emulator));
        if (sd_id128_is_null(d->uuid))
                return refuse(ret_error, "domain %s has no UUID", d->name);
        return 0;
}

/* --- changing --- */

static void set_text(xmlNodePtr n, const char *text) {
        if (n)
                xmlNodeSetContent(n, XML(text));
}

/* One element with nothing in it, where the first was. */
static xmlNodePtr need_empty(xmlNodePtr parent, const char *name) {
        xmlNodePtr n = need(parent, name), other;

        while (n && (other = next_named(n->next, name)))
                take_out(other);
        while (n && n->properties)
                xmlRemoveProp(n->properties);
        set_text(n, "");
        return n;
}

static void set_size(xmlNodePtr n, uint64_t bytes) {
        char text[32];

        snprintf(text, sizeof(text), "%" PRIu64, (uint64_t) (bytes / KIB));
        set_text(n, text);
        set_attribute(n, "unit", "KiB");
}

static int set_metadata(xmlNodePtr root, const char *image) {
        xmlNodePtr metadata = need(root, "metadata"), next, realm;
        xmlNsPtr ns;

        if (!metadata)
                return -ENOMEM;
        for (xmlNodePtr n = metadata->children; n; n = next) {
                next = n->next;
                if (n->type == XML_ELEMENT_NODE && n->ns && xmlStrEqual(n->ns->href, XML(DOMAIN_NAMESPACE)))
                        take_out(n);
        }
        realm = xmlNewChild(metadata, NULL, XML("realm"), NULL);
        ns = realm ? xmlNewNs(realm, XML(DOMAIN_NAMESPACE), XML("kcore")) : NULL;
        if (!ns)
                return -ENOMEM;
        xmlSetNs(realm, ns);
        set_attribute(realm, "image", image);
        return 0;
}

static void set_limit(xmlNodePtr root, uint64_t need_bytes) {
        xmlNodePtr limit = need(need(root, "memtune"), "hard_limit");
        _cleanup_free_ char *error = NULL;
        uint64_t old;

        if (limit && read_memory(limit, &old, &error) >= 0 && old >= need_bytes)
                return;
        if (limit)
                set_size(limit, need_bytes);
}

/* Firmware, kernel and the like are the image's; what is left says what machine it is. */
static int set_os(xmlNodePtr root, char **ret_error) {
        static const char *const not_these[] = { "loader", "nvram", "kernel", "initrd", "cmdline", "dtb", "firmware", "acpi" };
        xmlNodePtr os = need(root, "os"), type = need(os, "type"), features = need(root, "features");
        _cleanup_xml_ xmlChar *arch = NULL, *machine = NULL;

        if (!type || !features)
                return -ENOMEM;
        arch = xmlGetNoNsProp(type, XML("arch"));
        machine = xmlGetNoNsProp(type, XML("machine"));
        if (arch && !xmlStrEqual(arch, XML("aarch64")))
                return refuse(ret_error, "the domain is for %s; realms are for aarch64", (const char *) arch);
        if (machine && !xmlStrEqual(machine, XML("virt")) && xmlStrncmp(machine, XML("virt-"), 5) != 0)
                return refuse(ret_error, "the domain's machine is %s; realms need virt", (const char *) machine);
        for (size_t i = 0; i < ELEMENTSOF(not_these); i++)
                drop(os, not_these[i]);
        xmlUnsetProp(os, XML("firmware"));
        set_attribute(type, "arch", "aarch64");
        if (!machine)
                set_attribute(type, "machine", "virt");
        set_text(type, "hvm");
        drop(features, "acpi");
        set_attribute(need_empty(features, "gic"), "version", "3");
        return 0;
}

static int convert(xmlNodePtr root, const char *image, uint64_t memory, uint32_t vcpus, char **ret_error) {
        _cleanup_xml_ xmlChar *type = xmlGetNoNsProp(root, XML("type"));
        xmlNodePtr devices, balloon, vcpu;
        char number[16];
        int r;

        if (!type || !xmlStrEqual(type, XML("kvm")))
                return refuse(ret_error, "the domain is of type %s; realms are of type kvm", type ? (const char *) type : "none");
        r = set_metadata(root, image);
        r = r < 0 ? r : set_os(root, ret_error);
        if (r < 0)
                return r;
        set_size(need(root, "memory"), memory);
        set_size(need(root, "currentMemory"), memory);
        drop(root, "maxMemory");
        drop(root, "memoryBacking");
        set_limit(root, guest_locked_memory(memory, vcpus) + QEMU_OVERHEAD);
        drop(root, "vcpus");
        vcpu = need(root, "vcpu");
        snprintf(number, sizeof(number), "%" PRIu32, vcpus);
        set_text(vcpu, number);
        if (vcpu)
                xmlUnsetProp(vcpu, XML("current"));
        set_attribute(need_empty(root, "cpu"), "mode", "host-passthrough");
        set_text(need(root, "on_reboot"), "destroy"); /* a realm can not be reset */
        devices = need(root, "devices");
        set_text(need(devices, "emulator"), DOMAIN_EMULATOR);
        r = devices ? domain_pci_place(devices, ret_error) : -ENOMEM;
        if (r < 0)
                return r;
        balloon = need_empty(devices, "memballoon"); /* it would take pages that are not the host's */
        set_attribute(balloon, "model", "none");
        return balloon ? 0 : -ENOMEM;
}

static int format(xmlDocPtr doc, char **ret) {
        xmlChar *text = NULL;
        const char *start;
        int size;

        xmlDocDumpFormatMemory(doc, &text, &size, 1);
        if (!text)
                return -ENOMEM;
        /* Without <?xml ...?>, as virsh dumpxml has it. */
        start = strncmp((const char *) text, "<?xml", 5) == 0 ? strchr((const char *) text, '\n') : NULL;
        *ret = strdup(start ? start + 1 : (const char *) text);
        xmlFree(text);
        return *ret ? 0 : -ENOMEM;
}

int domain_xml_convert(const char *text, size_t size, const char *image, uint64_t memory, uint32_t vcpus, char **ret, char **before, char **ret_error) {
        _cleanup_(domain_xml_donep) struct domain_xml d = {};
        _cleanup_doc_ xmlDocPtr doc = NULL;
        _cleanup_free_ char *old = NULL;
        xmlNodePtr root;
        int r;

        r = read_document(text, size, &doc, &root, ret_error);
        r = r < 0 ? r : read_domain(root, &d, ret_error); /* nothing ambiguous: it is looked at as the hook will */
        r = r < 0 || !before ? r : format(doc, &old);
        r = r < 0 ? r : convert(root, image, memory, vcpus, ret_error);
        r = r < 0 ? r : format(doc, ret);
        if (r >= 0 && before)
                *before = TAKE_PTR(old);
        return r;
}
