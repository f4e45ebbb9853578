"""Secrets and people's data: in no log, no process list, no database row they do not belong in; in files that only their owner
reads; and written where they were meant to go, not where somebody laid a link."""
import asyncio
import base64
import os
import resource
import shutil
import signal
import smtplib
import stat
import subprocess

from harness import PROGRAM, SANITIZED, interrupt, wait_until
from peers import Unavailable
from smtpd import Sink

PASSWORD = "s3cr3t-Passw0rd-of-the-relay"


class Holding(Sink):
	"""Lets RCPT wait until it is told to go on."""
	reached = go_on = False

	async def rcpt(self, s, address):
		self.reached = True
		while not self.go_on:
			await asyncio.sleep(0.05)
		return "250 ok"


def forms(secret, user="news"):
	plain = base64.b64encode(f"\0{user}\0{secret}".encode()).decode()
	return [secret, base64.b64encode(secret.encode()).decode().rstrip("="), plain.rstrip("=")]


def told(text, secrets):
	return [s for s in secrets if s.encode() in text]


def test_passwords_and_keys_are_told_to_nobody(w):
	"""With all that can be logged switched on, and both for a login that works and one that does not."""
	for i, way in enumerate(("password-file = relay.password", "password-env = RELAY_PASSWORD", "password-command = cat relay.password")):
		with Holding(users={"news": PASSWORD}) as sink:
			w.write("relay.password", PASSWORD + "\n")
			os.chmod(w.path("relay.password"), 0o600)
			key, _, value = way.partition(" = ")
			w.configure(sink.port, user="news", extra="[log]\nfile = run.log\ndeliveries = deliveries.log\n", **{key.replace("-", "_"): value})
			plain = w.environment
			if "env" in key:
				w.environment = lambda: {**plain(), "RELAY_PASSWORD": PASSWORD}
			if i == 0:
				w.audience(3)
			child = w.start("-v", "send", w.message(), "--list", "news", "--name", f"june{i}", "--yes", "--again")
			wait_until(lambda: sink.reached)
			line = open(f"/proc/{child.pid}/cmdline", "rb").read()
			assert not told(line, forms(PASSWORD)), line
			sink.go_on = True
			w.finish(child)
			sink.users = {"news": "another"}
			w.run("-v", "test", "june.html", "--to", "a@x.example", expect=(69, 77))
			w.environment = plain
	key = open(w.path("postrider.key")).read().strip()
	for name in ["trace r0@x.example", "status june0", "report june0 --format json", "history"]:
		w.run(*name.split(), expect=None)
	for done in w.results:
		assert not told((done.out + done.err).encode(), [*forms(PASSWORD), key]), done
	for name in os.listdir(w.folder):
		if name not in ("relay.password", "postrider.key") and os.path.isfile(w.path(name)):
			assert not told(open(w.path(name), "rb").read(), [*forms(PASSWORD), key]), name


def test_files_are_their_owner_s(w):
	"""Whatever the umask: secrets, the database with what belongs to it, and logs with addresses in them."""
	wrapper = w.path("loose")
	with open(wrapper, "w") as f:
		f.write(f"#!/bin/sh\numask 0\nexec {PROGRAM} \"$@\"\n")
	os.chmod(wrapper, 0o755)

	def run(*argv):
		done = subprocess.run([wrapper, *argv], cwd=w.folder, env=w.environment(), capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
		assert done.returncode == 0, (argv, done)
	run("init", ".")
	with Holding() as sink:
		w.configure(sink.port, extra="[log]\nfile = run.log\ndeliveries = deliveries.log\n[dkim k1]\ndomain = books.example\nkey = dkim/k1.key\n")
		run("dkim", "keygen", "books.example", "--selector", "k1")
		w.write("news.csv", "email\na@x.example\n")
		run("import", "news", "news.csv")
		w.message()
		child = subprocess.Popen([wrapper, "send", "june.html", "--list", "news", "--name", "june", "--yes"], cwd=w.folder, env=w.environment(),
			stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(w.path("send.err"), "w"))
		w.children.append(child)
		wait_until(lambda: sink.reached)
		modes = {n: stat.S_IMODE(os.stat(w.path(n)).st_mode) for n in os.listdir(w.folder) if n.startswith("postrider.db")}
		sink.go_on = True
		assert child.wait(300) == 0 and "postrider.db-wal" in modes, modes
		conf = open(w.path("postrider.conf")).read().replace("[return-path]\n", f"[return-path]\nlisten = lmtp:{w.path('lmtp')}\npostmaster = post\n")
		w.write("postrider.conf", conf)
		child = subprocess.Popen([wrapper, "serve"], cwd=w.folder, env=w.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
			stderr=open(w.path("serve.err"), "w"))
		w.children.append(child)
		wait_until(lambda: os.path.exists(w.path("lmtp")))
		with smtplib.LMTP(w.path("lmtp")) as s:
			s.sendmail("x@y.example", ["postmaster@bounces.books.example"], "Subject: hello\r\n\r\nyou\r\n")
		modes |= {n: stat.S_IMODE(os.stat(w.path(n)).st_mode) for n in ("postrider.key", "dkim", "dkim/k1.key", "deliveries.log", "post")}
		interrupt(child)
		child.wait(300)
	assert not {n: oct(m) for n, m in modes.items() if m & 0o077}, {n: oct(m) for n, m in modes.items()}
	assert not stat.S_IMODE(os.stat(w.path("run.log")).st_mode) & 0o037


def test_readable_secrets_are_refused(w):
	with Sink() as sink:
		w.write("relay.password", PASSWORD + "\n")
		os.chmod(w.path("relay.password"), 0o644)
		w.configure(sink.port, user="news", password_file="relay.password")
		w.audience(1)
		done = w.run("send", w.message(), "--list", "news", "--yes", expect=78)
		assert "chmod 600" in done.err, done
		os.chmod(w.path("relay.password"), 0o600)
		os.chmod(w.path("postrider.key"), 0o640)
		done = w.run("preview", "june.html", "--list", "news", expect=78)
		assert "chmod 600" in done.err, done


def test_links_laid_in_the_way(w):
	"""init, keygen and files of results never write where a link leads that somebody else laid; an own one to a file is followed."""
	os.mkdir(w.path("new"))
	for name in ("postrider.key", "postrider.db", "postrider.conf"):
		os.symlink(w.path("victim-" + name), w.path("new/" + name))
	w.run("init", "new", expect=None)
	assert not [n for n in os.listdir(w.folder) if n.startswith("victim-")], os.listdir(w.folder)
	w.configure(2525)
	w.audience(3)
	w.write("victim", "mine")
	for temp in ("out.csv.tmp", "out.csv.part", "bad.csv.tmp", "bad.csv.part"):
		os.symlink("victim", w.path(temp))
	w.run("export", "news", "-o", "out.csv")
	w.write("some.csv", "email\nno\nx@x.example\n")
	w.run("import", "news", "some.csv", "--rejects", "bad.csv", "--max-rejects", "100%")
	assert open(w.path("victim")).read() == "mine" and open(w.path("bad.csv")).read().startswith("pr_line")
	w.run("import", "news", "some.csv", "--rejects", "/dev/stdout", "--max-rejects", "100%", expect=(0, 73))
	assert os.path.islink("/dev/stdout"), "a device was replaced by a file"


def crash(w, *argv, until):
	"""A program that may write a core without bound is crashed; whether it wrote one."""
	endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
	child = subprocess.Popen(argv, cwd=w.folder, env=w.environment(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, endless),
		stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(w.path("crash.err"), "w"))
	w.children.append(child)
	until(child)
	child.send_signal(signal.SIGSEGV)
	status = os.waitpid(child.pid, 0)[1]
	assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSEGV, (argv, status, open(w.path("crash.err")).read())
	for name in os.listdir(w.folder):
		if name.startswith("core") and os.path.isfile(w.path(name)):
			os.remove(w.path(name))
	return os.WCOREDUMP(status)


def test_no_core_is_written(w):
	"""Of a command that is logged in somewhere, and of the daemon, where any other program leaves one."""
	if SANITIZED:
		raise Unavailable("a build with a sanitizer may be looked into")
	try:
		usual = crash(w, "sleep", "60", until=lambda child: wait_until(lambda: open(f"/proc/{child.pid}/comm").read() == "sleep\n"))
	except subprocess.SubprocessError as e:
		raise Unavailable("cores may not be asked for here") from e
	if not usual:
		raise Unavailable("this system writes no cores")
	with Holding(users={"news": PASSWORD}) as sink:
		w.write("relay.password", PASSWORD + "\n")
		os.chmod(w.path("relay.password"), 0o600)
		w.configure(sink.port, user="news", password_file="relay.password", extra="[log]\nfile = run.log\n")
		w.audience(1)
		assert not crash(w, PROGRAM, "send", w.message(), "--list", "news", "--name", "june", "--yes", until=lambda _: wait_until(lambda: sink.reached))
	def serving(_):
		wait_until(lambda: os.path.exists(w.path("run.log")) and "serve: ready" in open(w.path("run.log")).read())
	assert not crash(w, PROGRAM, "serve", until=serving)


def test_another_user_is_as_private(w):
	"""The kernel undoes it with every change of user."""
	if SANITIZED or os.geteuid() != 0 or not shutil.which("strace"):
		raise Unavailable("needs root, strace, and a build without a sanitizer")
	with Sink() as sink:
		w.configure(sink.port, extra="[daemon]\nuser = nobody\n")
		# It ends right after: nobody may not open this folder's secret and database.
		subprocess.run(["strace", "-f", "-qq", "-o", w.path("trace"), "-e", "trace=prctl,setresuid", PROGRAM, "serve"], cwd=w.folder, env=w.environment(),
			capture_output=True, timeout=300, stdin=subprocess.DEVNULL)
	calls = [line.split(maxsplit=1)[1] for line in open(w.path("trace"))]
	private = [i for i, call in enumerate(calls) if call.startswith("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0")]
	became = [i for i, call in enumerate(calls) if call.startswith("setresuid(")]
	assert len(became) == 1 and private and private[0] < became[0] < private[-1], calls
