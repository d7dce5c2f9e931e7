#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Put a recorder between the core and the primitives of mach.h.

usage: trace_prims.py NAMES.h PRIMS.h COMPILER FLAGS... mach.h

NAMES.h is included before all else by the files of hyp/core that are recorded: it
gives each primitive another name, traced_NAME, and each entry point of the core
untraced_NAME. PRIMS.h defines these traced_NAME, which call NAME and hand
arguments and results to trace_prim(); the entry points, which do so with
trace_call() and trace_return(); and their names: trace_names, trace_entries.
"""
import re
import subprocess
import sys

ENTRY = "core_"


def declarations(command):
    text = subprocess.run([*command[:-1], "-E", "-P", command[-1]], check=True, capture_output=True, text=True).stdout
    text = re.sub(r"\b_Bool\b", "bool", text)
    structs = {f"struct {name}": re.findall(r"uint64_t (\w+);", body)
               for name, body in re.findall(r"struct (\w+)\s*\{([^}]*)\};", text)}
    found = []
    for result, name, args in re.findall(r"\b(void|bool|uint64_t|struct \w+)\s+(\w+)\(([^()]*)\);", text):
        args = [] if args.strip() == "void" else [a.split() for a in args.split(",")]
        if result in ("void", "bool", "uint64_t") or result in structs:
            if all(len(a) == 2 and a[0] in ("bool", "uint64_t") for a in args):
                found.append((result, name, args))
                continue
        sys.exit(f"trace_prims: {name}: a type that it does not know")
    return found, structs


def wrapper(result, name, args, structs, number):
    """One function between caller and callee."""
    entry = name.startswith(ENTRY)
    shown, callee = (name, "untraced_" + name) if entry else ("traced_" + name, name)
    words = ", ".join(a[1] for a in args)
    values = {"void": [], "bool": ["r"], "uint64_t": ["r"]}.get(result) or [f"r.{f}" for f in structs.get(result, [])]
    array = "(const uint64_t[]){ %s }"
    given = f"{len(args)}, {array % words if args else 'NULL'}"
    taken = f"{len(values)}, {array % ', '.join(values) if values else 'NULL'}"
    out = []
    parameters = ", ".join(" ".join(a) for a in args) or "void"
    if entry:
        out.append(f"{result} {callee}({parameters});")
    out += [f"{result} {shown}({parameters});", f"{result} {shown}({parameters})", "{"]
    if entry:
        out.append(f"\ttrace_call({number}, {given});")
    out.append(f"\t{'' if result == 'void' else result + ' r = '}{callee}({words});")
    out.append(f"\ttrace_return({taken});" if entry else f"\ttrace_prim({number}, {given}, {taken});")
    if result != "void":
        out.append("\treturn r;")
    return "\n".join(out + ["}"])


def main():
    names_h, prims_h, *command = sys.argv[1:]
    found, structs = declarations(command)
    entries = [f for f in found if f[1].startswith(ENTRY)]
    prims = [f for f in found if not f[1].startswith(ENTRY)]
    with open(names_h, "w", encoding="ascii") as out:
        for _, name, _ in found:
            out.write(f"#define {name} {'un' if name.startswith(ENTRY) else ''}traced_{name}\n")
    with open(prims_h, "w", encoding="ascii") as out:
        for table, functions in (("trace_entries", entries), ("trace_names", prims)):
            out.write(f"static const char *const {table}[] = {{\n")
            out.writelines(f'\t"{name}",\n' for _, name, _ in functions)
            out.write("};\n")
        for functions in (entries, prims):
            for number, function in enumerate(functions):
                out.write(wrapper(*function, structs, number) + "\n")


if __name__ == "__main__":
    main()
