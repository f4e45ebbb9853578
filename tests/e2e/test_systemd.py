"""The unit that `make install` puts into place: well formed, closely fenced, and the program lives within the fence."""
import glob
import os
import re
import shutil
import signal
import subprocess

import harness
import peers
from harness import wait_until
from smtpd import Sink

UNIT = os.path.join(harness.TOP, "examples", "systemd", "postrider.service")
EXPOSURE = 1.5  # of systemd-analyze's 10; what is left is the network, and /proc for the boot id


def needs(*programs):
	for name in programs:
		if not shutil.which(name):
			raise peers.Unavailable(f"{name} is not installed")


def unit_for(w):
	with open(UNIT, encoding="utf-8") as f:
		return w.write("postrider.service", f.read().replace("/usr/local/bin/postrider", harness.PROGRAM))


def test_verify(w):
	needs("systemd-analyze")
	units = [unit_for(w)]
	for name in ("postrider-prune.service", "postrider-prune.timer"):
		with open(os.path.join(os.path.dirname(UNIT), name), encoding="utf-8") as f:
			units.append(w.write(name, f.read().replace("/usr/local/bin/postrider", harness.PROGRAM)))
	done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
	assert done.returncode == 0 and "postrider" not in done.stderr, done


def test_exposure(w):
	needs("systemd-analyze")
	done = subprocess.run(["systemd-analyze", "security", "--offline=true", unit_for(w)], capture_output=True, text=True)
	found = re.search(r"Overall exposure level for postrider.service: ([0-9.]+)", done.stdout)
	assert found and float(found.group(1)) <= EXPOSURE, done.stdout[-500:]


def test_install(w):
	harness.install(w.folder, PREFIX="/opt/postrider")
	assert os.access(w.path("opt/postrider/bin/postrider"), os.X_OK) and os.path.exists(w.path("opt/postrider/share/man/man1/postrider.1"))
	with open(w.path("opt/postrider/lib/systemd/system/postrider.service"), encoding="utf-8") as f:
		assert "ExecStart=/opt/postrider/bin/postrider --config" in f.read()
	assert os.path.exists(w.path("opt/postrider/lib/systemd/system/postrider-prune.timer"))
	pages = glob.glob(w.path("opt/postrider/share/doc/postrider/*.md")) + glob.glob(w.path("opt/postrider/share/doc/postrider/docs/*.md"))
	for page in pages:
		with open(page, encoding="utf-8") as f:
			for link in re.findall(r"\]\(([^)#:]+)\)", f.read()):
				assert os.path.exists(os.path.join(os.path.dirname(page), link)), (page, link)
	assert len(pages) > 5
	harness.install(w.folder, "uninstall", PREFIX="/opt/postrider")
	assert not [f for _, _, files in os.walk(w.folder) for f in files]


def allowed():
	"""The system calls that the unit's filters let pass."""
	def group(name):
		out = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
		calls = set()
		for line in map(str.strip, out.splitlines()[1:]):
			if line.startswith("@"):
				calls |= group(line)
			elif line and not line.startswith("#"):
				calls.add(line)
		return calls

	calls = set()
	with open(UNIT, encoding="utf-8") as f:
		for rule in re.findall(r"^SystemCallFilter=(.*)", f.read(), re.M):
			for name in rule.lstrip("~").split():
				calls = calls - group(name) if rule.startswith("~") else calls | group(name)
	assert len(calls) > 100
	return calls


def test_what_serve_calls_is_allowed(w):
	"""It sends a campaign, takes returned mail, runs a password command and writes logs, and is watched."""
	needs("systemd-analyze", "strace")
	if harness.SANITIZED:
		raise peers.Unavailable("a sanitizer makes system calls of its own")
	with Sink() as sink:
		port = harness.free_port()
		w.configure(sink.port, extra="[log]\nfile = serve.log\ndeliveries = deliveries.jsonl\n"
			"[mailbox x]\nurl = imaps://127.0.0.1:1/\nuser = a\npassword-command = echo secret\n"
			f"[return-path]\nlisten = 127.0.0.1:{port}\n")
		w.audience(20)
		w.message()
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--detach", expect=75)
		trace = w.path("trace")
		child = subprocess.Popen(["strace", "-f", "-qq", "-o", trace, harness.PROGRAM, "serve"], cwd=w.folder, env=w.environment(),
			stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
		w.children.append(child)
		wait_until(lambda: len(sink.messages) == 20)
		w.run("status", "june", "--wait")
		with open(trace, encoding="utf-8", errors="replace") as f:
			os.kill(int(f.readline().split()[0]), signal.SIGTERM)
		child.wait(300)
		with open(trace, encoding="utf-8", errors="replace") as f:
			text = f.read()
		used = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", text, re.M))
		# SQLite gives what root makes in somebody's folder to that user; the unit does not run as root.
		forbidden = used - allowed() - ({"fchown"} if os.geteuid() == 0 else set())
		assert "sendmsg" in used or "sendto" in used or "write" in used
		assert not forbidden, forbidden
		assert not re.search(r"PROT_WRITE\|PROT_EXEC", text), "memory that is written to and run (MemoryDenyWriteExecute)"
