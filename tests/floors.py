#!/usr/bin/env python3
"""The tower of docs/DESIGN.md: no file includes from a floor above its own, lists and templates do not know each other,
every header compiles alone, and no file names a path of somebody's machine."""
import os
import re
import shlex
import shutil
import subprocess
import sys

FLOORS = {"src/base": 0, "src/config": 1, "src/db": 1, "lists": 2, "templates": 2, "engine": 3, "src/serve": 4, "src/cli": 5}
STRANGERS = {("lists", "templates"), ("templates", "lists"), ("src/db", "src/config")}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
PRIVATE = re.compile(r"/work/|/home/[a-z]|/root/|/Users/")


def floor(path):
	for folder in FLOORS:
		if path.startswith(folder + "/"):
			return folder
	return None


def wrong_includes(path, text):
	own = floor(path)
	for name in INCLUDE.findall(text):
		if not os.path.exists(name):
			yield f"{path}: includes \"{name}\", which is not written from the root"
			continue
		other = floor(name)
		if other is None:
			if own is not None:
				yield f"{path}: includes \"{name}\", which is outside the tower"
		elif own is not None and (FLOORS[other] > FLOORS[own] or (own, other) in STRANGERS):
			yield f"{path}: {own} must not include from {other} (\"{name}\")"


def lone_header(path):
	cmd = [*shlex.split(os.environ.get("CC") or "cc"), "-std=c17", "-D_GNU_SOURCE", "-I.", "-Wall", "-fsyntax-only", "-x", "c", "-"]
	flags = subprocess.run(["pkg-config", "--cflags", "openssl", "sqlite3", "uchardet"], capture_output=True, text=True).stdout
	run = subprocess.run(cmd + flags.split(), input=f'#include "{path}"\nint main(void) {{ return 0; }}\n',
		capture_output=True, text=True)
	if run.returncode != 0 or run.stderr:
		yield f"{path}: does not compile alone: {(run.stderr.splitlines() or ['?'])[0]}"


def main():
	os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
	files = []
	if shutil.which("git"):
		files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True).stdout.split("\n")
	if not any(files):  # no git here, or a tarball
		files = [os.path.join(d, f)[2:] for d, _, fs in os.walk(".") for f in fs if not d.startswith(("./build", "./.git"))]
	checked, faults = 0, []
	for path in sorted(f for f in files if os.path.isfile(f)):
		with open(path, "rb") as f:
			text = f.read().decode("utf-8", "replace")
		here = []
		if path.endswith((".c", ".h")):
			here += wrong_includes(path, text)
		if path.endswith(".h") and floor(path):
			here += lone_header(path)
		if path != "tests/floors.py" and PRIVATE.search(text):
			here.append(f"{path}: names a private path: {PRIVATE.search(text).group()}")
		checked += 1
		faults += here
	for fault in faults:
		print(fault, file=sys.stderr)
	bad = len({f.split(":")[0] for f in faults})
	print(f"floors: {checked - bad} passed, {bad} failed (files)")
	return 1 if faults else 0


if __name__ == "__main__":
	sys.exit(main())
