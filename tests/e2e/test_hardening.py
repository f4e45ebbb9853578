"""The program as it ships: what its file says of how it may be loaded and run, and what it is installed as."""
import os
import re
import stat
import subprocess

import harness
import peers


def readelf(*options):
	if os.path.basename(harness.BUILD) != "build":
		raise peers.Unavailable("not the program that ships")
	return subprocess.run(["readelf", "-W", *options, harness.PROGRAM], capture_output=True, text=True, check=True).stdout


def test_anywhere_in_memory(w):
	assert re.search(r"^  Type: +DYN ", readelf("-h"), re.M)
	dynamic = readelf("-d")
	assert re.search(r"FLAGS_1\).*\bPIE\b", dynamic) and "TEXTREL" not in dynamic, dynamic


def test_nothing_is_written_to_and_run(w):
	segments = re.findall(r"^  (LOAD|GNU_STACK|GNU_RELRO) +(?:0x[0-9a-f]+ +){5}([RWE ]{3})", readelf("-l"), re.M)
	kinds = [kind for kind, _ in segments]
	assert "LOAD" in kinds and "GNU_STACK" in kinds, segments  # without GNU_STACK it may be run
	assert not [s for s in segments if "W" in s[1] and "E" in s[1]], segments


def test_tables_are_read_only_from_the_start(w):
	assert "GNU_RELRO" in readelf("-l")
	dynamic = readelf("-d")
	assert re.search(r"FLAGS_1\).*\bNOW\b", dynamic), dynamic


def test_no_library_from_elsewhere(w):
	dynamic = readelf("-d")
	assert "NEEDED" in dynamic and "RPATH" not in dynamic and "RUNPATH" not in dynamic, dynamic


def test_stack_and_buffers_are_watched(w):
	symbols = readelf("--dyn-syms")
	assert "__stack_chk_fail" in symbols
	assert {"__memcpy_chk", "__snprintf_chk", "__vsnprintf_chk"} & set(re.findall(r"\b(__\w+_chk)\b", symbols)), "no _FORTIFY_SOURCE"


def test_installed_with_no_rights_of_its_own(w):
	"""Neither setuid, setgid nor capabilities, and nothing that everybody may change."""
	harness.install(w.folder, PREFIX="/usr")
	program = w.path("usr/bin/postrider")
	assert stat.S_IMODE(os.stat(program).st_mode) == 0o755 and "security.capability" not in os.listxattr(program)
	files = [os.path.join(folder, name) for folder, _, names in os.walk(w.path("usr")) for name in names]
	loose = {f: oct(os.stat(f).st_mode) for f in files if stat.S_IMODE(os.stat(f).st_mode) & 0o7002}
	assert len(files) > 5 and not loose, loose
