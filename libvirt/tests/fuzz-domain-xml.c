/* SPDX-License-Identifier: Apache-2.0 */

/* The XML of a domain, as the hook reads it and kcorectl changes it. What was converted is protected and consistent, in the
 * eyes of the reader, too. */

#include "../domain-xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(domain_xml_donep) struct domain_xml d = {};
        _cleanup_free_ char *error = NULL;

        if (domain_xml_parse((const char *) data, size, &d, &error) < 0) {
                if (!error)
                        abort();
                return 0;
        }
        if (d.image && !domain_xml_says_protected(&d))
                abort();
        if (domain_xml_says_protected(&d) && domain_xml_check(&d, &error) >= 0 && (!d.image || !d.emulator || !streq(d.emulator, DOMAIN_EMULATOR)))
                abort();

        _cleanup_free_ char *text = NULL, *before = NULL, *why = NULL;
        if (domain_xml_convert((const char *) data, size, "/image.kci", GIB, 2, &text, &before, &why) >= 0) {
                _cleanup_(domain_xml_donep) struct domain_xml e = {};
                _cleanup_free_ char *no = NULL;

                if (domain_xml_parse(text, strlen(text), &e, &no) < 0 || !e.image || !streq(e.image, "/image.kci") ||
                    !e.emulator || !streq(e.emulator, DOMAIN_EMULATOR) || e.memory != GIB || e.vcpus != 2)
                        abort();
        }
        return 0;
}
