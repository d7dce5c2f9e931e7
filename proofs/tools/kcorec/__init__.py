# SPDX-License-Identifier: Apache-2.0
"""Front half of the translator for hyp/core: C -> clang JSON AST -> IR -> rules.

clang_ast  runs clang and gives every AST node its file and line
ir         the small language that hyp/core is written in
parse      AST -> IR; total on the subset, refuses everything else
rules      whole-program rules over the IR (order, layers, table writers, ...)
"""
