"""Other people's DKIM verifiers, offline: dkimpy, and OpenDKIM fetched into build/opendkim."""
import fcntl
import glob
import json
import os
import re
import subprocess
import sys

import harness
import peers

# Those that OpenDKIM links with and that are seldom there; the rest comes from the system.
PACKAGES = ["opendkim", "libopendkim11", "libmilter1.0.1", "libopendbx1", "libmemcached11", "libhashkit2", "liblua5.3-0", "libvbr2", "librbl1",
	"libldap-2.5-0", "libbsd0", "libmd0", "libevent-2.1-7", "libunbound8", "libdb5.3", "libsasl2-2", "libnghttp2-14", "libsodium23"]
FOLDER = os.path.join(harness.BUILD, "opendkim")

DKIMPY = """
import json, sys
import dkim, nacl.signing
records = {k.encode() + b".": v.encode() for k, v in json.load(open(sys.argv[1])).items()}
for path in sys.argv[2:]:
	data = open(path, "rb").read()
	d = dkim.DKIM(data)
	n = sum(k.lower() == b"dkim-signature" for k, _ in d.headers)
	print(json.dumps([d.verify(i, dnsfunc=lambda name, timeout=5: records.get(name)) for i in range(n)]))
"""


def dkimpy(paths, records):
	"""For each file a list: does the first, second … signature hold? None: dkimpy is not installed."""
	for python in sys.executable, "/usr/bin/python3":
		if subprocess.run([python, "-c", "import dkim, nacl.signing"], capture_output=True).returncode == 0:
			break
	else:
		return None
	table = os.path.join(os.path.dirname(paths[0]), "records.json")
	with open(table, "w") as f:
		json.dump(records, f)
	done = subprocess.run([python, "-c", DKIMPY, table, *paths], capture_output=True, text=True)
	assert done.returncode == 0, done.stderr
	return [json.loads(line) for line in done.stdout.splitlines()]


def fetch_opendkim():
	program = os.path.join(FOLDER, "root", "usr", "sbin", "opendkim")
	os.makedirs(FOLDER, exist_ok=True)
	with open(os.path.join(FOLDER, "lock"), "w") as lock:
		fcntl.flock(lock, fcntl.LOCK_EX)
		if not os.path.exists(program):
			run = peers.apt("apt-get", "download", *PACKAGES, cwd=FOLDER, timeout=200)
			if run.returncode != 0:
				raise peers.Unavailable("OpenDKIM cannot be fetched: " + (run.stderr.strip().split("\n") or ["?"])[-1])
			debs = sorted(glob.glob(FOLDER + "/*.deb"), key=lambda d: os.path.basename(d).startswith("opendkim_"))
			for deb in debs:
				subprocess.run(["dpkg", "-x", deb, os.path.join(FOLDER, "root")], check=True)
				os.unlink(deb)
	return program


def program():
	"""OpenDKIM's path and environment; Unavailable where it cannot be fetched or run."""
	program, root = fetch_opendkim(), os.path.join(FOLDER, "root")
	libraries = sorted({os.path.dirname(p) for p in glob.glob(root + "/**/*.so.*", recursive=True)}) or [root + "/usr/lib"]
	env = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}
	if subprocess.run([program, "-V"], capture_output=True, env=env).returncode != 0:
		raise peers.Unavailable("OpenDKIM does not run here")
	return program, env


def opendkim(paths, records):
	"""The same by OpenDKIM; Unavailable where it cannot be fetched or run."""
	where, env = program()
	folder = os.path.dirname(paths[0])
	with open(os.path.join(folder, "records.txt"), "w") as f:
		f.writelines(f"{name} {text}\n" for name, text in records.items())
	with open(os.path.join(folder, "opendkim.conf"), "w") as f:
		f.write(f"TestDNSData {folder}/records.txt\nMode v\nSyslog no\nAlwaysAddARHeader yes\nMaximumSignaturesToVerify 9\n")
	verdicts = []
	for path in paths:
		done = subprocess.run([where, "-x", os.path.join(folder, "opendkim.conf"), "-vvv", "-t", path], capture_output=True, text=True,
			errors="replace", env=env)
		results = re.findall(r"^\s*dkim=(\w+) .*header\.a=", done.stdout, re.M)
		assert results, done.stdout[-2000:] + done.stderr[-2000:]
		verdicts.append([r == "pass" for r in results])
	return verdicts
