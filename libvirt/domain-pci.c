/* SPDX-License-Identifier: Apache-2.0 */
#include "domain-pci.h"

#include <stdlib.h>

#include "refuse.h"
#include "xml-util.h"

static bool has(xmlNodePtr n, const char *name, const char *value) {
        _cleanup_xml_ xmlChar *s = n ? xmlGetNoNsProp(n, XML(name)) : NULL;

        return s && xmlStrEqual(s, XML(value));
}

/* The child's attribute is the value. */
static bool child_has(xmlNodePtr n, const char *child, const char *name, const char *value) {
        return has(next_named(n->children, child), name, value);
}

/* Does libvirt make a PCI device of it? An address of another kind says that it does not. */
static bool is_pci(xmlNodePtr n) {
        static const char *const always[] = { "interface", "rng", "video", "sound", "vsock", "filesystem", "shmem", "crypto", "watchdog" };
        xmlNodePtr address = next_named(n->children, "address");

        if (is_element(n, "hostdev")) /* its address is the guest's; <source> has the host's */
                return has(n, "type", "pci");
        if (is_element(n, "controller"))
                return !has(n, "type", "pci") && !has(n, "type", "fdc") && !has(n, "type", "ccid") && !(has(n, "type", "usb") && has(n, "model", "none"));
        if (address && !has(address, "type", "virtio-mmio"))
                return has(address, "type", "pci");
        if (is_element(n, "disk"))
                return child_has(n, "target", "bus", "virtio");
        if (is_element(n, "input"))
                return has(n, "bus", "virtio");
        if (is_element(n, "sound") && has(n, "model", "usb"))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(always); i++)
                if (is_element(n, always[i]))
                        return !child_has(n, "model", "type", "none") && !child_has(n, "model", "type", "ramfb");
        return false;
}

static xmlNodePtr controller(xmlNodePtr devices, const char *type) {
        for (xmlNodePtr n = devices->children; (n = next_named(n, "controller")); n = n->next)
                if (has(n, "type", type))
                        return n;
        return NULL;
}

static int add_controller(xmlNodePtr devices, const char *type, const char *model) {
        xmlNodePtr n;

        if (controller(devices, type))
                return 0;
        n = xmlNewChild(devices, NULL, XML("controller"), NULL);
        if (!n)
                return -ENOMEM;
        set_attribute(n, "type", type);
        set_attribute(n, "index", "0");
        if (model)
                set_attribute(n, "model", model);
        return 0;
}

/* libvirt adds the controllers that devices hang on, and one for USB. */
static int add_controllers(xmlNodePtr devices) {
        bool serial = false, scsi = false, usb = false;

        for (xmlNodePtr n = devices->children; n; n = n->next) {
                if (n->type != XML_ELEMENT_NODE)
                        continue;
                serial = serial || ((is_element(n, "channel") || is_element(n, "console")) && child_has(n, "target", "type", "virtio"));
                scsi = scsi || (is_element(n, "disk") && child_has(n, "target", "bus", "scsi"));
                usb = usb || has(n, "bus", "usb") || child_has(n, "target", "bus", "usb") || has(n, "type", "usb");
        }
        return (serial ? add_controller(devices, "virtio-serial", NULL) : 0)
                ?: (scsi ? add_controller(devices, "scsi", "virtio-scsi") : 0)
                ?: add_controller(devices, "usb", usb ? "qemu-xhci" : "none");
}

/* Ports and bridges; the root complex itself need not be said. */
static void drop_buses(xmlNodePtr devices) {
        xmlNodePtr n;

        while ((n = controller(devices, "pci")))
                take_out(n);
}

static unsigned number(xmlNodePtr n, const char *name, unsigned missing) {
        _cleanup_xml_ xmlChar *s = xmlGetNoNsProp(n, XML(name));
        char *end;
        unsigned long v;

        if (!s)
                return missing;
        v = strtoul((const char *) s, &end, 0);
        return *end || end == (char *) s || v > UINT16_MAX ? UINT16_MAX : (unsigned) v;
}

/* The slot that the device has and may keep, or 0. */
static unsigned good_slot(xmlNodePtr n) {
        xmlNodePtr address = next_named(n->children, "address");
        unsigned slot;

        if (!address || !has(address, "type", "pci") || next_named(address->next, "address"))
                return 0;
        slot = number(address, "slot", 0);
        return number(address, "domain", 0) == 0 && number(address, "bus", 0) == 0 && number(address, "function", 0) == 0 &&
                               !has(address, "multifunction", "on") && slot >= DOMAIN_PCI_FIRST && slot <= DOMAIN_PCI_LAST
                       ? slot
                       : 0;
}

int domain_pci_place(xmlNodePtr devices, char **ret_error) {
        bool used[DOMAIN_PCI_LAST + 1] = {};
        unsigned slot;
        int r;

        drop_buses(devices);
        r = add_controllers(devices);
        if (r < 0)
                return r;
        for (xmlNodePtr n = devices->children; n; n = n->next)
                if (n->type == XML_ELEMENT_NODE && is_pci(n) && (slot = good_slot(n)) > 0) {
                        if (used[slot])
                                drop(n, "address");
                        used[slot] = true;
                }
        slot = DOMAIN_PCI_FIRST;
        for (xmlNodePtr n = devices->children; n; n = n->next) {
                xmlNodePtr address;
                char text[8];

                if (n->type != XML_ELEMENT_NODE || !is_pci(n) || good_slot(n) > 0)
                        continue;
                while (slot <= DOMAIN_PCI_LAST && used[slot])
                        slot++;
                if (slot > DOMAIN_PCI_LAST)
                        return refuse(ret_error, "the domain has more than %u PCI devices, which a realm has no room for", DOMAIN_PCI_LAST);
                used[slot] = true;
                drop(n, "address");
                address = xmlNewChild(n, NULL, XML("address"), NULL);
                if (!address)
                        return -ENOMEM;
                snprintf(text, sizeof(text), "0x%02x", slot);
                set_attribute(address, "type", "pci");
                set_attribute(address, "domain", "0x0000");
                set_attribute(address, "bus", "0x00");
                set_attribute(address, "slot", text);
                set_attribute(address, "function", "0x0");
        }
        return 0;
}
