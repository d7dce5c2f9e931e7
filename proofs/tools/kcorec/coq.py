# SPDX-License-Identifier: Apache-2.0
"""Runs the translator and Coq: what proofs/prove, diff and mutate have in common."""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time
from xml.sax.saxutils import quoteattr

PROOFS = pathlib.Path(__file__).resolve().parents[2]
TREE = PROOFS.parent
FORBIDDEN = re.compile(r"\b(Admitted|admit|give_up|Axioms?|Parameters?|Conjecture|bypass_check|Unset\s+Guard)\b")


class Failed(Exception):
    pass


def run(command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


# ---- The core: files, flags, functions ---------------------------------------

def core_commands(build):
    """(file, directory, compiler and flags) of each file of hyp/core."""
    try:
        entries = json.loads((build / "compile_commands.json").read_text())
    except OSError as error:
        raise Failed(f"{error}; build KCore first: ./kcore build hyp") from error
    found = []
    for entry in entries:
        words = shlex.split(entry["command"])
        directory = pathlib.Path(entry["directory"])
        path = (directory / entry["file"]).resolve()
        if path.parent == TREE / "hyp" / "core":
            if os.path.basename(words[0]) == "ccache":
                words = words[1:]
            flags = [w for w in words[1:] if w not in (entry["file"], str(path)) and not w.startswith("-flto")]
            found.append((path, directory, words[0], flags))
    if not found:
        raise Failed("no file of hyp/core in compile_commands.json")
    return found


def translate(commands, out):
    path, directory, clang, flags = commands[0]
    files = [str(c[0]) for c in commands]
    done = run([PROOFS / "tools" / "translate", "--cc", clang, "--out", out, *files, "--", *flags], cwd=directory)
    if done.returncode != 0:
        raise Failed("translate:\n" + done.stdout + done.stderr)
    return done.stdout.strip()


# ---- Coq ------------------------------------------------------------------------

def sources(out):
    """{module: path} of the proofs and what was generated."""
    found = {}
    for path in sorted(PROOFS.rglob("*.v")):
        target = out / path.relative_to(PROOFS)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        bad = FORBIDDEN.search(re.sub(r"\(\*.*?\*\)", "", path.read_text(), flags=re.S))
        if bad:
            raise Failed(f"{path.relative_to(TREE)}: {bad.group(0)} is not allowed")
    for path in sorted(out.rglob("*.v")):
        found[".".join(path.relative_to(out).with_suffix("").parts)] = path
    return found


def dependencies(path, modules):
    """The modules that a file's Require commands name; a command may take several lines."""
    text = re.sub(r"\(\*.*?\*\)", " ", path.read_text(), flags=re.S)
    wanted = set()
    for names in re.findall(r"From\s+kcore\s+Require\s+(?:Import\s+|Export\s+)?(.*?)\.(?=\s|$)", text, re.S):
        wanted |= {word for word in names.split() if word in modules}
    return wanted


def about(path):
    """The layer that a file of proofs is about: its head says hyp/core/NAME.c, or .h; None if it is of no single one."""
    named = re.match(r"(?:\s*\(\* SPDX[^\n]*\*\)\s*\n)?\s*\(\*\s*hyp/core/(\w+)\.([ch])\b", path.read_text())
    if not named:
        return None
    if not (TREE / "hyp" / "core" / f"{named[1]}.{named[2]}").exists():
        raise Failed(f"{path}: there is no hyp/core/{named[1]}.{named[2]}")
    return named[1]


def theorems(path):
    """NAME of each theorem NAME_ok, in a section or not."""
    text = re.sub(r"\(\*.*?\*\)", " ", path.read_text(), flags=re.S)
    return set(re.findall(r"^\s*Theorem\s+(\w+)_ok\b", text, re.M))


def coqc(path, out):
    started = time.monotonic()
    done = run(["coqc", "-q", "-R", out, "kcore", path], cwd=out)
    return done, time.monotonic() - started


def check(modules, out, jobs, say):
    """Compiles all modules in the order of their dependencies: {module: (seconds, error)}."""
    needs = {m: dependencies(p, modules) for m, p in modules.items()}
    results, running, total = {}, {}, len(modules)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        while needs or running:
            for module in [m for m, d in needs.items() if d <= results.keys()]:
                if any(results[d][1] for d in needs[module]):
                    results[module] = (0.0, "what it rests on does not hold")
                else:
                    running[pool.submit(coqc, modules[module], out)] = module
                del needs[module]
            if not running:
                if needs and not any(d <= results.keys() for d in needs.values()):
                    raise Failed("the proofs rest on each other in a circle: " + ", ".join(needs))
                continue
            finished, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in finished:
                module = running.pop(future)
                done, seconds = future.result()
                error = "" if done.returncode == 0 else (done.stderr or done.stdout)
                results[module] = (seconds, error)
                say(f"[{len(results)}/{total}] {module:24} {seconds:6.1f}s" + ("  FAILED" if error else ""))
    return results


# ---- Results --------------------------------------------------------------------

def junit(path, suite, cases):
    """cases: (name, seconds, what is wrong or nothing)."""
    with open(path, "w", encoding="utf-8") as out:
        failed = sum(1 for _, _, error in cases if error)
        out.write(f'<testsuite name="{suite}" tests="{len(cases)}" failures="{failed}">\n')
        for name, seconds, error in cases:
            out.write(f'<testcase classname="{suite}" name={quoteattr(name)} time="{seconds:.1f}">')
            if error:
                out.write(f"<failure message={quoteattr(error[:2000])}/>")
            out.write("</testcase>\n")
        out.write("</testsuite>\n")
