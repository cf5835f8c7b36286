"""What an executable of a release has to be before it goes into an archive."""

import importlib.machinery
import importlib.util
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

from toolchain import CACHE, PROJECT, qemu

MACHINES = {"linux_amd64": "x86_64", "linux_arm64": "aarch64"}


def executable(file, name, build_paths):
    """Ends the program at the first check that fails; prints what was tried."""
    no_path_of_the_builder(file, build_paths)
    static_and_position_independent(file)
    said = handshake(file, MACHINES[name])
    size = file.stat().st_size / 2**20
    print(f"dist: {name}: {size:.1f} MiB, static-pie, no path of the builder, {said}", file=sys.stderr)


def no_path_of_the_builder(file, build_paths):
    """The same source has to give the same bytes in each folder, and a builder's folders are nobody's business."""
    content = file.read_bytes()
    home = str(pathlib.Path.home())
    paths = {str(path) for path in (PROJECT, CACHE, CACHE.resolve(), home, *build_paths)}
    found = sorted(path for path in paths if f"{path}/".encode() in content)
    if found:
        sys.exit(f"dist: {file} has paths of this machine: {', '.join(found)}")


def static_and_position_independent(file):
    """It needs no loader and no library, and the kernel loads it at a random address, because it handles secrets."""
    # LC_ALL, for readelf translates what it says.
    environment = {**os.environ, "LC_ALL": "C"}
    command = ["readelf", "--wide", "--file-header", "--program-headers", "--dynamic", file]
    said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    stack = next((line for line in said.splitlines() if "GNU_STACK" in line), "")
    for fault, there in {
        "is not position-independent": "Type:                              DYN" not in said,
        "is no executable": "PIE" not in said,
        "needs a loader": "INTERP" in said,
        "needs libraries": "(NEEDED)" in said,
        "has no read-only relocations": "GNU_RELRO" not in said,
        "has an executable stack": " RWE " in stack or not stack,
        "has relocations in its code": "(TEXTREL)" in said,
    }.items():
        if there:
            sys.exit(f"dist: {file} {fault}")


def handshake(file, machine):
    """Starts the executable as Terraform does, alone in an empty root: no C library, no file but itself."""
    bench = module(PROJECT / "scripts" / "bench")
    environment = {
        "PATH": os.environ["PATH"],
        "TF_PLUGIN_MAGIC_COOKIE": bench.COOKIE,
        "PLUGIN_CLIENT_CERT": bench.CLIENT_CERTIFICATE,
        "PLUGIN_UNIX_SOCKET_DIR": "/",
    }
    with tempfile.TemporaryDirectory() as root:
        command = ["/provider"]
        shutil.copy(file, f"{root}/provider")
        if machine != platform.machine():
            emulator = qemu(machine)
            if not emulator:
                return f"not started, for there is no qemu-{machine}"
            shutil.copy(emulator, f"{root}/qemu")
            command = ["/qemu", "/provider"]
        enter = ["chroot", root]
        if os.geteuid() != 0:
            # Without root's rights, in a namespace of its own. Ubuntu 24.04 doesn't permit that by default.
            namespace = ["unshare", "--map-root-user"]
            if subprocess.run([*namespace, "true"], stderr=subprocess.DEVNULL).returncode:
                permit = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
                sys.exit(f"dist: starting {file} in an empty root needs user namespaces: run as root, or `{permit}`")
            enter = [*namespace, *enter]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([*enter, *command], env=environment, **pipes)
        try:
            line = process.stdout.readline().decode()
            if not line.startswith("1|6|unix|/"):
                process.kill()
                sys.exit(f"dist: {file} gives no handshake in an empty root: {line}{process.stderr.read().decode()}")
        finally:
            process.kill()
            process.wait()
    return "shakes hands in an empty root" + (" under qemu" if len(command) > 1 else "")


def module(file):
    """A script of this project as a module."""
    loader = importlib.machinery.SourceFileLoader(file.name, str(file))
    found = importlib.util.module_from_spec(importlib.util.spec_from_loader(file.name, loader))
    loader.exec_module(found)
    return found
