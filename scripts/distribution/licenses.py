"""The third-party licenses that go into an archive.

Read from the sources that Cargo has anyway, and not with cargo-about: that takes minutes to compile, wants a template
and a list of accepted licenses, and knows nothing of the C libraries that are linked in.
"""

import json
import pathlib
import re
import subprocess
import sys

from toolchain import PROJECT, zig_folder

FILES = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)

# For packages that name this license and come without its text.
MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

# What is compiled into Rust's standard library, besides itself: name, license, and whose the license under MIT is.
IN_STANDARD_LIBRARY = (
    ("addr2line", "Apache-2.0 OR MIT", "2016-2018 The gimli Developers"),
    ("adler2", "0BSD OR MIT OR Apache-2.0", "Jonas Schievink"),
    ("cfg-if", "MIT OR Apache-2.0", "2014 Alex Crichton"),
    ("gimli", "MIT OR Apache-2.0", "2015 The Rust Project Developers"),
    ("hashbrown", "MIT OR Apache-2.0", "2016 Amanieu d'Antras"),
    ("libc", "MIT OR Apache-2.0", "The Rust Project Developers"),
    ("memchr", "Unlicense OR MIT", "2015 Andrew Gallant"),
    (
        "miniz_oxide",
        "MIT OR Zlib OR Apache-2.0",
        "2013-2014 RAD Game Tools and Valve Software, 2010-2014 Rich Geldreich and Tenacious Software LLC, 2017 Frommi",
    ),
    ("object", "Apache-2.0 OR MIT", "2015 The Gimli Developers"),
    ("rustc-demangle", "MIT OR Apache-2.0", "2014 Alex Crichton"),
)


def third_party(target, static):
    """The text for a target triple; `static` says whether C libraries of Zig are linked in."""
    parts = [*packages(target), *(libraries() if static else [])]
    parts.append(("Rust's standard library", "MIT OR Apache-2.0", [under_mit("The Rust Project Contributors")]))
    for name, license, holder in IN_STANDARD_LIBRARY:
        parts.append((f"{name}, in Rust's standard library", license, [under_mit(holder)]))
    holders = {}
    for name, _, texts in parts:
        for text in texts:
            holders.setdefault(text.strip(), []).append(name)
    lines = ["terraform-provider-kms contains the following works of others.", ""]
    lines += [f"- {name}: {license}" for name, license, _ in parts]
    for text, names in holders.items():
        lines += ["", "=" * 80, *names, "=" * 80, "", text]
    return "\n".join(lines) + "\n"


def packages(target):
    """Name, license and license texts of each Rust package in the executable: no build tool, no test, no macro."""
    cargo = ["cargo", "metadata", "--locked", "--format-version", "1"]
    found = {(it["name"], it["version"]): it for it in json.loads(output(cargo))["packages"]}
    tree = ["cargo", "tree", "--locked", "--target", target, "--edges", "normal,no-proc-macro", "--prefix", "none"]
    lines = set(output([*tree, "--format", "{p}"]).splitlines())
    for name, version in sorted({tuple(re.match(r"(\S+) v(\S+)", line).groups()) for line in lines if line}):
        package = found[name, version]
        if package["source"]:
            license = package["license"] or package["license_file"]
            yield f"{name} {version}", license, texts(package)


def texts(package):
    """The license texts of a package, those of works that it contains among them."""
    root = pathlib.Path(package["manifest_path"]).parent
    files = [root / package["license_file"]] if package["license_file"] else []
    files += sorted(file for file in root.rglob("*") if FILES.match(file.name) and file.suffix not in {".rs", ".py"})
    found = list(dict.fromkeys(file.read_text(errors="replace") for file in files if file.is_file()))
    if not found and "MIT" in re.split(r"[^\w.+-]+", package["license"] or ""):
        authors = ", ".join(package["authors"]) or f"the authors of {package['name']}"
        found = [under_mit(authors)]
    if not found:
        sys.exit(f"dist: {package['name']} {package['version']} has no text of its license, {package['license']}")
    return found


def under_mit(holder):
    return f"Copyright (c) {holder}\n\n{MIT}"


def libraries():
    """What Zig links in."""
    zig = zig_folder()
    for name, license, file in (
        ("musl", "MIT", "lib/libc/musl/COPYRIGHT"),
        ("LLVM libunwind", "Apache-2.0 WITH LLVM-exception", "lib/libunwind/LICENSE.TXT"),
        ("Zig's compiler_rt", "MIT", "LICENSE"),
    ):
        yield name, license, [(zig / file).read_text()]


def output(command):
    return subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout
