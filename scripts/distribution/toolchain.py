"""What compiles the provider for another system than this one.

The C compiler, the linker and the C library come from Zig, through cargo-zigbuild: one version on each machine, and
for each target. Rust's standard library for the target comes from

1. the toolchain of this machine, where `rustup target add` has put it; or else
2. Debian's packages of one Rust release, which have the library's source, so that Cargo builds it on the way. They are
   unpacked in the cache and not installed.

All downloads go to .cache/dist/.
"""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import venv

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = PROJECT / ".cache" / "dist"

# Pinned by digest, for Linux on x86-64 and on arm64.
WHEELS = """\
ziglang==0.15.2 \
--hash=sha256:806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130 \
--hash=sha256:edc0aa60ec964a4cf462d40f68d7de242ddf37fd9a80f2afaee6397059463230
cargo-zigbuild==0.24.1 \
--hash=sha256:238a1ab54a95053a4eadc34775c81f795a8ad75f80bfed63f3f445f518102375 \
--hash=sha256:07c5e3dcddf208500462ec927c556bb306cca2b533b0abe29446bffb63767b85
"""

# It writes the list of all packages into the executable, where `cargo audit bin`, Trivy and Syft find it.
CARGO_AUDITABLE = "0.7.7"

# Variables that would change the executable from outside, or what builds it.
FOREIGN = re.compile(
    "CARGO|RUSTC.*|RUSTFLAGS|RUSTDOCFLAGS|CARGO_(ENCODED|BUILD|PROFILE|TARGET|INCREMENTAL).*|AWS_LC_.*|ZERO_AR_DATE"
    "|((HOST|TARGET)_)?(CC|CXX|AR|CFLAGS|CPPFLAGS|CXXFLAGS|LDFLAGS|ASFLAGS|ARFLAGS|CRATE_CC)(_.*)?"
)

DEBIAN_RUST = ("rustc-web", "cargo-web", "rust-web-src")


@dataclasses.dataclass
class Toolchain:
    """How to build for one target."""

    # The executables that come first on the PATH.
    path: list
    environment: dict
    # What Cargo is given besides the usual.
    arguments: list
    rustc: pathlib.Path

    def variables(self):
        """The environment of a build."""
        kept = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
        paths = os.pathsep.join([*map(str, self.path), os.environ["PATH"]])
        return {**kept, "PATH": paths, **self.environment}


def for_target(target):
    """The toolchain for a target triple, fetched on first use."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with locked(CACHE / "lock"):
        tools = zig_and_cargo_zigbuild()
        auditable = cargo_auditable()
        own = own_rustc(target)
        path, environment, arguments, rustc = [auditable / "bin", tools / "bin"], {}, [], own
        if not own:
            debian = debian_packages("rust", DEBIAN_RUST)
            # Its cargo takes the rustc beside it.
            path.insert(0, debian / "usr" / "bin")
            rustc = debian / "usr" / "bin" / "rustc"
            libraries = sorted({str(file.parent) for file in (debian / "usr" / "lib").rglob("*.so*")})
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
            # Building the standard library is a feature that Cargo has not made stable yet.
            environment["RUSTC_BOOTSTRAP"] = "1"
            arguments += ["-Z", "build-std=std,panic_unwind"]
    environment |= {
        "CARGO": str(cargo_by_name()),
        "CARGO_ZIGBUILD_CACHE_DIR": str(CACHE / "zigbuild"),
        "ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig"),
        "ZIG_LOCAL_CACHE_DIR": str(CACHE / "zig"),
    }
    return Toolchain(path, environment, arguments, pathlib.Path(rustc))


def own_rustc(target):
    """The rustc of this machine, if it has the standard library for the target."""
    rustc = shutil.which("rustc")
    if not rustc:
        return None
    query = [rustc, "--print", "target-libdir", "--target", target]
    folder = subprocess.run(query, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    return rustc if folder and list(pathlib.Path(folder).glob("libstd-*")) else None


def zig_folder():
    """Where the wheel of Zig has its files, the notices of its C libraries among them."""
    (folder,) = zig_and_cargo_zigbuild().glob("lib/python*/site-packages/ziglang")
    return folder


def zig_and_cargo_zigbuild():
    def fill(folder):
        # The pip of this Python installs into it, for Debian has the one for new environments in a package of its own.
        venv.create(folder)
        requirements = folder / "requirements.txt"
        requirements.write_text(WHEELS)
        pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps"]
        run([*pip, "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:", "--requirement", requirements])

    return filled(f"zig-{version_of('ziglang')}-{version_of('cargo-zigbuild')}", fill)


def version_of(wheel):
    return re.search(rf"^{wheel}==(\S+)", WHEELS, re.MULTILINE)[1]


def cargo_auditable():
    def fill(folder):
        # With the Cargo of this machine, for it runs on this machine.
        target = ["--target-dir", folder / "target"]
        run(["cargo", "install", "--quiet", "--locked", "--root", folder, *target, f"cargo-auditable@{CARGO_AUDITABLE}"])
        shutil.rmtree(folder / "target")

    return filled(f"cargo-auditable-{CARGO_AUDITABLE}", fill)


def cargo_by_name():
    """What cargo-auditable calls as Cargo. It tells Cargo where it is itself, and Cargo makes that path a part of the
    hashes in symbols, so another folder would give other bytes. By its name on the PATH, it is the same everywhere."""
    shim = CACHE / "cargo-by-name"
    shim.write_text('#!/bin/sh\nRUSTC_WORKSPACE_WRAPPER=cargo-auditable exec cargo "$@"\n')
    shim.chmod(0o755)
    return shim


def debian_packages(name, packages):
    """A folder with these packages of Debian and what they need besides what is installed."""
    if not shutil.which("apt-get"):
        sys.exit(
            "dist: Rust's standard library for the target is missing. Install it with `rustup target add`; "
            "elsewhere than on Debian there is no other way."
        )
    needed = simulated(packages)
    if not needed:
        # New machines have no lists yet.
        run(["apt-get", "--quiet", "update"])
        needed = simulated(packages)
    versions = {version for package, version in needed if package in packages}
    if not versions or len(versions) > 1:
        sys.exit(f"dist: apt-get has not all of {', '.join(packages)} in one version")

    def fill(folder):
        with tempfile.TemporaryDirectory(dir=CACHE) as downloads:
            run(["apt-get", "--quiet", "download", *(f"{package}={version}" for package, version in needed)], downloads)
            for package in sorted(pathlib.Path(downloads).glob("*.deb")):
                run(["dpkg-deb", "--extract", package, folder])

    return filled(f"debian-{name}-{re.sub('[^0-9A-Za-z.]', '-', versions.pop())}", fill)


def simulated(packages):
    """What apt-get would install, with versions: nothing, if it does not know a package."""
    command = ["apt-get", "install", "--simulate", "--reinstall", "--no-install-recommends", *packages]
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", said, re.MULTILINE)


def qemu(machine):
    """A program that runs executables of another machine, or nothing where there is none."""
    for name in (f"qemu-{machine}-static", f"qemu-{machine}"):
        if found := shutil.which(name):
            return found
    if not shutil.which("apt-get"):
        return None
    with locked(CACHE / "lock"):
        return debian_packages("qemu", ["qemu-user-static"]) / "usr" / "bin" / f"qemu-{machine}-static"


def filled(name, fill):
    """A folder of the cache. It appears under its name when it is whole."""
    home = CACHE / f"{name}-{platform.machine()}"
    if (home / "complete").exists():
        return home
    print(f"dist: fetching {name}", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    fill(home)
    (home / "complete").touch()
    return home


@contextlib.contextmanager
def locked(file):
    """One at a time, for two builds may share a cache."""
    with open(file, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command, folder=PROJECT):
    """What a command prints goes to standard error."""
    try:
        subprocess.run(list(map(str, command)), cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"dist: {error}")
