#!/usr/bin/env python3
"""Reads the `use` lines of each crate: refuses import circles between files, and folders that import a floor above theirs.

  imports.py            checks the tree; ends with 1 and names each circle and each climb
  imports.py --print    also prints, per crate: files, arrows, floors

tests/scripts/circles.tsv lists the circles that still stand, a line each; a listed circle that is gone must leave the
list. tests/scripts/floors.tsv orders folders from the bottom to the top. Tests are left out of both.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CRATES = ["proto", "raft", "node", "benches"]
SCRIPTS = ROOT / "tests/scripts"


def code_of(path):
    """The file without comments, strings and its inline tests."""
    text = path.read_text()
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    inline_tests = text.find("#[cfg(test)]\nmod tests {")
    return text if inline_tests < 0 else text[:inline_tests]


def module_of(src, path):
    """`http/site.rs` is `("http", "site")`; the crate's root is `()`."""
    parts = list(path.relative_to(src).with_suffix("").parts)
    if parts[-1] in ("lib", "main", "mod"):
        parts.pop()
    return tuple(parts)


def is_test(path, src):
    parts = path.relative_to(src).with_suffix("").parts
    return "tests" in parts


def expand(tree):
    """`a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        return [tree]
    head, body, depth, item, out = tree[:brace], tree[brace + 1 : tree.rfind("}")], 0, "", []
    for letter in body + ",":
        if letter == "," and depth == 0:
            if item.strip():
                out += [head + one for one in expand(item)]
            item = ""
            continue
        depth += {"{": 1, "}": -1}.get(letter, 0)
        item += letter
    return out


def named_paths(code):
    """Every path that begins with `crate`, `super` or `self`: in `use` and in expressions; of `use`, also bare ones."""
    for found in re.finditer(r"\buse\s+([^;]+);", code):
        for path in expand(re.sub(r"\s+", " ", found.group(1))):
            yield path.split(" as ")[0].replace(" ", "")
    for found in re.finditer(r"\b((?:crate|super)(?:::\w+)+)", re.sub(r"\buse\s+[^;]+;", "", code)):
        yield found.group(1)


def arrows_of(src):
    files = {module_of(src, path): path for path in sorted(src.rglob("*.rs")) if not is_test(path, src)}
    arrows = {module: set() for module in files}
    for module, path in files.items():
        for named in named_paths(code_of(path)):
            parts = named.split("::")
            if parts[0] == "crate":
                at, parts = (), parts[1:]
            elif parts[0] == "super":
                at = module
                while parts and parts[0] == "super":
                    at, parts = at[:-1], parts[1:]
            elif parts[0] == "self":
                at, parts = module, parts[1:]
            elif (module + (parts[0],)) in files:
                at = module
            else:
                continue
            while parts and at + (parts[0],) in files:
                at, parts = at + (parts[0],), parts[1:]
            if at != module and at in files:
                arrows[module].add(at)
    return arrows


def circles_of(arrows):
    """Strongly connected components of more than one file (Tarjan, without recursion)."""
    index, low, on_stack, stack, out, counter = {}, {}, set(), [], [], 0
    for root in arrows:
        if root in index:
            continue
        work = [(root, iter(sorted(arrows[root])))]
        index[root] = low[root] = counter
        counter += 1
        stack.append(root)
        on_stack.add(root)
        while work:
            at, rest = work[-1]
            step = next((to for to in rest if to not in index or to in on_stack), None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    circle = set()
                    while True:
                        one = stack.pop()
                        on_stack.discard(one)
                        circle.add(one)
                        if one == at:
                            break
                    if len(circle) > 1:
                        out.append(sorted(circle))
            elif step in index:
                low[at] = min(low[at], index[step])
            else:
                index[step] = low[step] = counter
                counter += 1
                stack.append(step)
                on_stack.add(step)
                work.append((step, iter(sorted(arrows[step]))))
    return out


def floors_of(arrows, circles):
    """Depth of the longest chain of imports, a circle counting as one file."""
    whose = {module: module for module in arrows}
    for circle in circles:
        for module in circle:
            whose[module] = circle[0]
    below = {}
    for module, targets in arrows.items():
        below.setdefault(whose[module], set()).update(whose[to] for to in targets if whose[to] != whose[module])
    depth = {}

    def deep(at):
        if at not in depth:
            depth[at] = 1 + max((deep(to) for to in below.get(at, ())), default=0)
        return depth[at]

    return max(map(deep, below), default=0)


def rows(name):
    path = SCRIPTS / name
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def shown(crate, module):
    return f"{crate}/src/" + ("/".join(module) or "lib") + ".rs"


def main():
    sys.setrecursionlimit(10_000)
    bad = []
    listed = {tuple(row[0].split()) for row in rows("circles.tsv")}
    seen = set()
    floors = {row[0]: row[1].split() for row in rows("floors.tsv")}
    for crate in CRATES:
        src = ROOT / crate / "src"
        arrows = arrows_of(src)
        circles = circles_of(arrows)
        if "--print" in sys.argv:
            count = sum(map(len, arrows.values()))
            print(f"{crate}: {len(arrows)} files, {count} arrows, {floors_of(arrows, circles)} floors, {len(circles)} circles")
        for circle in circles:
            names = tuple(shown(crate, module) for module in circle)
            seen.add(names)
            if names not in listed:
                bad.append("import circle:\n  " + "\n  ".join(names))
        for folder, order in floors.items():
            if not folder.startswith(f"{crate}/src"):
                continue
            base = tuple(Path(folder).relative_to(f"{crate}/src").parts)
            rank = {base + (name,): at for at, name in enumerate(order)}

            def floor(module):
                return next((rank[module[:length]] for length in range(len(module), 0, -1) if module[:length] in rank), None)

            for module, targets in arrows.items():
                for to in targets:
                    here, there = floor(module), floor(to)
                    if here is not None and there is not None and there > here:
                        bad.append(f"climbs a floor: {shown(crate, module)} imports {shown(crate, to)}")
    for names in sorted(listed - seen):
        bad.append("circles.tsv lists a circle that does not stand as written; take it out or write what stands:\n  " + "\n  ".join(names))
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
