/* SPDX-License-Identifier: Apache-2.0 */

/* docs/io.kcore.Manager.varlink is what the daemon answers to introspection. With an argument, that file is
 * compared; without, the text is printed (that is how the file is made). */

#include "../io.kcore.Manager.h"
#include "../util.h"

int main(int argc, char **argv) {
        _cleanup_free_ char *text = NULL, *documented = NULL;
        int r;

        r = sd_varlink_idl_format(&vl_interface_io_kcore_Manager, &text);
        if (r < 0) {
                fprintf(stderr, "the interface is not well-formed: %s\n", strerror(-r));
                return 1;
        }
        if (argc < 2) {
                fputs(text, stdout);
                return 0;
        }
        r = read_small_file(argv[1], 256 * KIB, &documented);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
                return 1;
        }
        if (!streq(text, documented)) {
                fprintf(stderr, "%s does not describe the interface; make it anew:\n  %s > %s\n", argv[1], argv[0], argv[1]);
                return 1;
        }
        return 0;
}
