"""Real mail servers, fetched into build/peers and run from there; nothing of the system is touched or installed.

Their Debian packages, with the libraries that they need, are unpacked into build/peers/root. Each daemon runs chrooted
there, in mount and process namespaces of its own (so that none outlives a test), with a folder of the test as /srv for
configuration, queues and logs. Who may not make namespaces gets `Unavailable`, and the test is skipped with the reason."""
import glob
import http.client as http_client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from distance import Here
from harness import free_port

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PEERS = os.path.join(TOP, "build", "peers")
ROOT = os.path.join(PEERS, "root")
SERVERS = ["postfix", "exim4-daemon-light", "exim4-base", "opensmtpd", "dovecot-core", "dovecot-imapd", "dovecot-pop3d", "sendmail-bin", "sendmail-cf", "m4", "rspamd", "nsd", "unbound", "ldnsutils"]
# Accounts of the servers, in the root's own passwd: real ones are not needed for files that only they use.
USERS = {"root": 0, "mail": 8, "nobody": 65534, "postfix": 52525, "Debian-exim": 52526, "opensmtpd": 52527,
	"opensmtpq": 52528, "dovecot": 52529, "dovenull": 52530, "vmail": 52531, "_rspamd": 52532, "nsd": 52533, "unbound": 52534,
	"smmsp": 52535}
GROUPS = {"root": 0, "postdrop": 52540, "opensmtpq": 52528, "adm": 4, "tty": 5, "nogroup": 65534}


class Unavailable(Exception):
	pass


def apt(*args, **kw):
	"""apt with the system's lists, or with lists of our own below build/peers where the system has none."""
	options = ["-o", "APT::Sandbox::User=root", "-q"]
	own = os.path.join(PEERS, "apt")
	if os.path.isdir(own):
		options += ["-o", f"Dir::State::lists={own}/lists", "-o", f"Dir::Cache={own}/cache", "-o", "Debug::NoLocking=1"]
	try:
		return subprocess.run([args[0], *options, *args[1:]], capture_output=True, text=True, stdin=subprocess.DEVNULL, **kw)
	except subprocess.TimeoutExpired as e:
		raise Unavailable(f"{args[0]} {args[1]} is not done after {e.timeout} s") from None


def closure(packages):
	"""The packages and the libraries they need. Scripts and tools (perl, debconf …) are not: nothing is configured."""
	out = apt("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
		"--no-replaces", "--no-enhances", *packages).stdout
	names = {line.strip() for line in out.split("\n") if line and line[0].isalnum()}
	unwanted = ("perl", "debian-installer", "newt", "slang", "libjs-", "textwrap")
	needed = {n for n in names if n.startswith(("lib", "zlib", "netbase", "gcc-12-base")) and not any(u in n for u in unwanted)}
	return sorted(needed | set(packages))


def fetch():
	"""Fills build/peers/root; does nothing when it is there."""
	stamp = os.path.join(PEERS, "complete")
	wanted = " ".join(SERVERS)
	if os.path.exists(stamp) and open(stamp).read() == wanted:
		return
	if not shutil.which("dpkg") or not shutil.which("apt-get"):
		raise Unavailable("not a Debian system: the servers cannot be fetched")
	shutil.rmtree(PEERS, ignore_errors=True)
	debs = os.path.join(PEERS, "debs")
	os.makedirs(debs)
	packages = closure(SERVERS)
	if not set(SERVERS) < set(packages) or "libc6" not in packages:
		os.makedirs(os.path.join(PEERS, "apt", "lists", "partial"))
		os.makedirs(os.path.join(PEERS, "apt", "cache", "archives", "partial"))
		apt("apt-get", "update", timeout=300)
		packages = closure(SERVERS)
	run = apt("apt-get", "download", *packages, cwd=debs, timeout=600)
	if run.returncode != 0:
		raise Unavailable("the servers cannot be fetched: " + (run.stderr.strip().split("\n") or ["?"])[-1])
	for folder in ("bin", "sbin", "lib", "lib64"):
		os.makedirs(os.path.join(ROOT, "usr", folder), exist_ok=True)
		os.symlink("usr/" + folder, os.path.join(ROOT, folder))
	for deb in glob.glob(debs + "/*.deb"):
		subprocess.run(["dpkg", "-x", deb, ROOT], check=True)
	shutil.rmtree(debs)
	write_accounts()
	with open(stamp, "w") as f:
		f.write(wanted)


def write_accounts():
	etc = os.path.join(ROOT, "etc")
	for folder in ("etc", "dev", "proc", "srv", "tmp", "run", "var/empty", "var/spool", "var/log", "var/lib"):
		os.makedirs(os.path.join(ROOT, folder), exist_ok=True)
	os.chmod(os.path.join(ROOT, "tmp"), 0o1777)
	if not os.path.exists(os.path.join(ROOT, "var/run")):
		os.symlink("../run", os.path.join(ROOT, "var/run"))
	with open(etc + "/passwd", "w") as f:
		f.writelines(f"{n}:x:{i}:{i}::/var/empty:/bin/false\n" for n, i in USERS.items())
	with open(etc + "/group", "w") as f:
		f.writelines(f"{n}:x:{i}:\n" for n, i in {**{n: i for n, i in USERS.items() if i != 65534}, **GROUPS}.items())
	with open(etc + "/hosts", "w") as f:
		f.write("127.0.0.1 localhost relay.example\n")
	with open(etc + "/resolv.conf", "w") as f:
		f.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
	with open(etc + "/nsswitch.conf", "w") as f:
		f.write("passwd: files\ngroup: files\nhosts: files\nservices: files\n")


def need():
	"""Raises Unavailable unless servers can be run here."""
	if os.geteuid() != 0:
		raise Unavailable("mail servers of their own users need root (they run chrooted, in namespaces)")
	probe = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
	if probe.returncode != 0:
		raise Unavailable("namespaces are not permitted here: " + probe.stderr.strip())
	fetch()


def own(path, user, mode=None, group=None):
	os.chown(path, USERS[user], GROUPS[group] if group else USERS[user])
	if mode is not None:
		os.chmod(path, mode)


def program_of_host(path):
	"""The command line that runs a program of this host from within a peer's root (option host=True)."""
	library = "/srv/host/usr/lib/" + os.uname().machine + "-linux-gnu"
	loader = glob.glob("/lib64/ld-linux*.so*") + glob.glob("/lib/ld-linux*.so*")
	return f"/srv/host{os.path.realpath(loader[0])} --library-path {library}:/srv/host/lib/{os.uname().machine}-linux-gnu " \
		f"/srv/host{path}"


class Peer:
	"""Daemons that share one /srv. Subclasses write the configuration and name the commands. Option host: this host's
	files are seen below /srv/host, for what a server hands mail over to."""
	name = "peer"
	fixed = {}  # folders that a server wants at a fixed place: {place in the root: folder below /srv}
	address = "127.0.0.1"  # where it is reached
	enter = []  # what goes before the command line: nsenter, for a host in another network namespace

	def __init__(self, folder, sink_port, **options):
		need()
		self.way = options.pop("way", Here)  # to the server: distance.FarAway
		if self.way is not Here:
			self.address = self.way.host
		self.srv = os.path.join(folder, options.get("own", options.get("folder", self.name)))
		os.makedirs(self.srv)
		os.chmod(self.srv, 0o755)
		self.sink_port, self.options, self.port, self.processes = sink_port, options, options.get("port") or free_port(), []

	def write(self, path, text, mode=0o644):
		full = os.path.join(self.srv, path)
		os.makedirs(os.path.dirname(full), exist_ok=True)
		with open(full, "w") as f:
			f.write(text)
		os.chmod(full, mode)

	def folder(self, path, user, mode=0o755, group=None):
		os.makedirs(os.path.join(self.srv, path), exist_ok=True)
		own(os.path.join(self.srv, path), user, mode, group)

	def command(self, *argv):
		"""The command line that runs argv in the peers' root."""
		binds = "".join(f'mount --bind "$S/{own}" "$R{place}" && ' for place, own in self.fixed.items())
		if self.options.get("host"):
			os.makedirs(os.path.join(self.srv, "host"), exist_ok=True)
			os.makedirs(os.path.join(ROOT, "usr/share/zoneinfo"), exist_ok=True)
			binds += 'mount --rbind / "$R/srv/host" && mount --bind /usr/share/zoneinfo "$R/usr/share/zoneinfo" && '
		script = 'R=$1; S=$2; shift 2; mount --rbind /dev "$R/dev" && mount --bind "$S" "$R/srv" && ' \
			f'mount -t proc proc "$R/proc" && mount -t tmpfs tmpfs "$R/run" && {binds} exec chroot "$R" "$@"'
		return [*self.enter, "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--",
			"sh", "-c", script, "sh", ROOT, self.srv, *argv]

	def spawn(self, *argv):
		log = open(os.path.join(self.srv, os.path.basename(argv[0]) + ".out"), "ab")
		self.processes.append(subprocess.Popen([*self.way.prefix, *self.command(*argv)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
			start_new_session=True, env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8"}))

	def configure(self):
		raise NotImplementedError

	def run(self):
		raise NotImplementedError

	def ready(self):
		"""Raises OSError, or is false, while it does not answer yet."""
		with socket.create_connection((self.address, self.port), 5) as s:
			s.settimeout(5)
			return s.recv(3) == b"220"

	def logs(self):
		out = []
		for d, _, names in os.walk(self.srv):
			out += [os.path.join(d, n) for n in names if n.endswith((".out", ".log"))]
		return "".join(open(p, errors="replace").read()[-3000:] for p in out)

	def __enter__(self):
		self.configure()
		self.run()
		end = time.monotonic() + 100
		while time.monotonic() < end:
			try:
				if self.ready():
					return self
			except OSError:
				pass
			if any(p.poll() is not None for p in self.processes):
				break
			time.sleep(0.05)
		self.__exit__()
		raise RuntimeError(f"{self.name} does not start:\n{self.logs()}")

	def __exit__(self, *exc):
		for p in self.processes:
			try:
				os.killpg(p.pid, signal.SIGKILL)  # unshare; the namespace's init dies with it, and so do all in it
			except ProcessLookupError:
				pass
			p.wait()


class Postfix(Peer):
	"""Relays everything to the sink. Options: tls = (cert, key) files: STARTTLS; users = {name: password}: Dovecot's
	SASL, demanded and only over TLS; main = {parameter: value}; services = [lines of master.cf]."""
	name = "postfix"

	def configure(self):
		main = {"compatibility_level": "3.6", "queue_directory": "/srv/queue", "data_directory": "/srv/data",
			"command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix",
			"setgid_group": "postdrop", "myhostname": "relay.example", "mydestination": "", "inet_interfaces": self.address,
			"inet_protocols": "ipv4", "relayhost": f"[127.0.0.1]:{self.sink_port}", "mynetworks": "127.0.0.0/8, 198.18.0.0/15",
			"alias_maps": "", "local_recipient_maps": "", "maillog_file": "/srv/log/mail.log",
			"maillog_file_prefixes": "/srv", "in_flow_delay": "0", "smtpd_error_sleep_time": "0", "smtp_tls_security_level": "none",
			"smtp_host_lookup": "native", "smtpd_client_connection_rate_limit": "0"}
		if self.options.get("tls"):
			for name, path in zip(("cert", "key"), self.options["tls"]):
				self.write(f"etc/{name}.pem", open(path).read(), 0o600)
				main[f"smtpd_tls_{name}_file"] = f"/srv/etc/{name}.pem"
			main["smtpd_tls_security_level"] = "may"
		if self.options.get("users"):
			main.update({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "private/auth",
				"smtpd_tls_auth_only": "yes" if self.options.get("tls") else "no", "smtpd_relay_restrictions":
				"permit_sasl_authenticated,reject"})
		main.update(self.options.get("main", {}))
		self.write("etc/main.cf", "".join(f"{k} = {v}\n" for k, v in main.items()))
		services = [f"{self.options.get('listen', self.address + ':')}{self.port} inet n - n - 100 smtpd", "pickup unix n - n 60 1 pickup",
			"cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr", "tlsmgr unix - - n 1000? 1 tlsmgr",
			"rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce",
			"trace unix - - n - 0 bounce", "verify unix - - n - 1 verify", "flush unix n - n 1000? 0 flush",
			"proxymap unix - - n - - proxymap", "smtp unix - - n - - smtp", "relay unix - - n - - smtp",
			"error unix - - n - - error", "retry unix - - n - - error", "discard unix - - n - - discard",
			"anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache", "postlog unix-dgram n - n - 1 postlogd"]
		self.write("etc/master.cf", "\n".join(services + self.options.get("services", [])) + "\n")
		for folder in ("queue", "log"):
			self.folder(folder, "root")
		self.folder("data", "postfix", 0o700)
		for folder in "active bounce corrupt defer deferred flush hold incoming private saved trace".split():
			self.folder("queue/" + folder, "postfix", 0o700)
		self.folder("queue/maildrop", "postfix", 0o730, "postdrop")
		self.folder("queue/public", "postfix", 0o710, "postdrop")
		self.folder("queue/pid", "root")

	def run(self):
		if self.options.get("users"):
			self.write("etc/users", "".join(f"{u}:{{PLAIN}}{p}\n" for u, p in self.options["users"].items()))
			self.write("etc/dovecot.conf", "base_dir = /srv/dovecot\nprotocols =\nssl = no\nlisten = 127.0.0.1\n"
				"log_path = /srv/log/dovecot.log\nauth_mechanisms = plain login\nauth_failure_delay = 0\ndisable_plaintext_auth = no\n"
				"default_internal_user = dovecot\ndefault_internal_group = dovecot\ndefault_login_user = dovenull\n"
				"passdb {\n driver = passwd-file\n args = /srv/etc/users\n}\nuserdb {\n driver = static\n args = uid=vmail"
				" gid=vmail home=/tmp\n}\nservice auth {\n unix_listener /srv/queue/private/auth {\n  mode = 0666\n }\n}\n"
				# Without memory of failed logins: the next one would wait for seconds.
				"service anvil {\n unix_listener anvil-auth-penalty {\n  mode = 0\n }\n}\n")
			self.folder("dovecot", "root")
			self.spawn("/usr/sbin/dovecot", "-F", "-c", "/srv/etc/dovecot.conf")
			end = time.monotonic() + 100
			while not os.path.exists(self.srv + "/queue/private/auth") and time.monotonic() < end:
				time.sleep(0.02)
		self.spawn("/usr/lib/postfix/sbin/master", "-c", "/srv/etc", "-d")


class Dovecot(Peer):
	"""Mailboxes by IMAP (port) and POP3 (pop3_port): Maildirs in mail/USER below `srv`, of the users = {name: password}.
	Options: tls = (cert, key) files: STARTTLS, and logins in the clear are refused."""
	name = "mailboxes"

	def configure(self):
		self.pop3_port = free_port()
		tls = "ssl = no\ndisable_plaintext_auth = no\n"
		if self.options.get("tls"):
			for name, path in zip(("cert", "key"), self.options["tls"]):
				self.write(f"etc/{name}.pem", open(path).read(), 0o600)
			tls = "ssl = required\nssl_cert = </srv/etc/cert.pem\nssl_key = </srv/etc/key.pem\n"
		self.write("etc/users", "".join(f"{u}:{{PLAIN}}{p}\n" for u, p in self.options["users"].items()))
		self.write("etc/dovecot.conf", "base_dir = /srv/run\nprotocols = imap pop3\nlisten = 127.0.0.1\n" + tls +
			"log_path = /srv/log/dovecot.log\nauth_mechanisms = plain login\nauth_failure_delay = 0\nstats_writer_socket_path =\n"
			"default_internal_user = dovecot\ndefault_internal_group = dovecot\ndefault_login_user = dovenull\n"
			"mail_location = maildir:/srv/mail/%u\nfirst_valid_uid = 1\nmail_uid = vmail\nmail_gid = vmail\n"
			"passdb {\n driver = passwd-file\n args = /srv/etc/users\n}\nuserdb {\n driver = static\n args = uid=vmail"
			" gid=vmail home=/srv/mail/%u\n}\nservice anvil {\n unix_listener anvil-auth-penalty {\n  mode = 0\n }\n}\n"
			f"service imap-login {{\n inet_listener imap {{\n  port = {self.port}\n }}\n inet_listener imaps {{\n  port = 0\n }}\n}}\n"
			f"service pop3-login {{\n inet_listener pop3 {{\n  port = {self.pop3_port}\n }}\n inet_listener pop3s {{\n  port = 0\n }}\n}}\n")
		for folder in ("run", "log"):
			self.folder(folder, "root")
		self.folder("mail", "vmail", 0o700)
		for user in self.options["users"]:
			for part in ("", "/tmp", "/new", "/cur"):
				self.folder(f"mail/{user}{part}", "vmail", 0o700)

	def deliver(self, user, name, text):
		path = os.path.join(self.srv, "mail", user, "new", name)
		with open(path, "w", newline="") as f:
			f.write(text)
		own(path, "vmail", 0o600)

	def messages(self, user, folder=""):
		place = os.path.join(self.srv, "mail", user, "." + folder if folder else "")
		return sorted(n for part in ("new", "cur") if os.path.isdir(os.path.join(place, part)) for n in os.listdir(os.path.join(place, part)))

	def run(self):
		self.spawn("/usr/sbin/dovecot", "-F", "-c", "/srv/etc/dovecot.conf")

	def ready(self):
		for port, hello in ((self.port, b"* OK"), (self.pop3_port, b"+OK")):
			with socket.create_connection((self.address, port), 5) as s:
				s.settimeout(5)
				if not s.recv(100).startswith(hello):
					return False
		return True


class Exim(Peer):
	"""Accepts for everyone and hands on to the sink. Options: tls as above; deny = a condition of recipients that are refused."""
	name = "exim"
	fixed = {"/etc/exim4": "etc"}  # where it looks by itself: with -C it would lose its rights when it returns mail

	def configure(self):
		tls = ""
		if self.options.get("tls"):
			for name, path in zip(("cert", "key"), self.options["tls"]):
				self.write(f"etc/{name}.pem", open(path).read())
			tls = "tls_advertise_hosts = *\ntls_certificate = /srv/etc/cert.pem\ntls_privatekey = /srv/etc/key.pem\n"
		deny = f"deny {self.options['deny']}\n  " if self.options.get("deny") else ""
		self.write("etc/exim4.conf", f"""primary_hostname = relay.example
daemon_smtp_ports = {self.port}
local_interfaces = 127.0.0.1
spool_directory = /srv/spool
log_file_path = /srv/log/%s.log
pid_file_path = /srv/spool/exim.pid
never_users =
host_lookup =
rfc1413_query_timeout = 0s
dns_ipv4_lookup =
keep_environment =
smtp_accept_max = 100
smtp_accept_max_per_connection = 500
queue_run_max = 10
split_spool_directory
{tls or "tls_advertise_hosts ="}
chunking_advertise_hosts = *
acl_smtp_rcpt = rcpt
acl_smtp_data = all
begin acl
all:
  accept
rcpt:
  {deny}accept
begin routers
{self.options.get("routers", "")}sink:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = sink
begin transports
{self.options.get("transports", "")}sink:
  driver = smtp
  port = {self.sink_port}
  hosts_try_fastopen =
  allow_localhost
  multi_domain = false
begin retry
* * F,1h,5s
""")
		for folder in ("spool", "log"):
			self.folder(folder, "Debian-exim", 0o750)

	def run(self):
		os.makedirs(os.path.join(ROOT, "etc/exim4"), exist_ok=True)
		self.spawn("/usr/sbin/exim4", "-bdf", "-q5s")


class OpenSmtpd(Peer):
	"""Accepts for everyone and hands on to the sink; rules: lines in front of that. Without TLS: Debian 12's 6.8 cannot do it with OpenSSL 3."""
	name = "opensmtpd"
	fixed = {"/var/spool": "spool"}

	def configure(self):
		self.write("etc/smtpd.conf", f"""smtp max-message-size 35M
listen on 127.0.0.1 port {self.port} hostname relay.example
action sink relay host "smtp://127.0.0.1:{self.sink_port}"
{self.options.get("rules", "")}match from any for any action sink
""")
		self.write("etc/mailname", "relay.example\n")

	def run(self):
		for name, user, mode in (("", "root", 0o711), ("/corrupt", "opensmtpq", 0o700), ("/incoming", "opensmtpq", 0o700),
				("/queue", "opensmtpq", 0o700), ("/purge", "opensmtpq", 0o700), ("/temporary", "opensmtpq", 0o700)):
			self.folder("spool/smtpd" + name, user, mode, "root")
		self.folder("spool/smtpd/offline", "root", 0o770, "opensmtpq")
		self.spawn("/usr/sbin/smtpd", "-d", "-f", "/srv/etc/smtpd.conf")


class Sendmail(Peer):
	"""Hands on to the sink; option back: the port on this host that takes what goes to bounces.books.example."""
	name = "sendmail"
	fixed = {"/var/spool": "spool"}

	def configure(self):
		self.write("etc/sendmail.mc", f"""divert(0)dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `relay.example')dnl
define(`QUEUE_DIR', `/srv/queue')dnl
define(`STATUS_FILE', `/srv/statistics')dnl
define(`confPID_FILE', `/srv/sendmail.pid')dnl
define(`confCW_FILE', `')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confTO_IDENT', `0')dnl
undefine(`ALIAS_FILE')dnl
FEATURE(`nouucp', `reject')dnl
FEATURE(`nocanonify')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`accept_unresolvable_domains')dnl
DAEMON_OPTIONS(`Port={self.port}, Addr=127.0.0.1, Name=MTA')dnl
FEATURE(`no_default_msa')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {self.sink_port}')dnl
define(`SMTP8_MAILER_ARGS', `TCP $h {self.options.get("back", 9)}')dnl
MAILER(`smtp')dnl
LOCAL_RULE_0
R$* < @ bounces.books.example $* > $*	$#smtp8 $@ [127.0.0.1] $: $1 < @ bounces.books.example > $3
""")
		for folder in ("queue", "spool"):
			self.folder(folder, "root", 0o700)

	def run(self):
		made = subprocess.run(self.command("/usr/bin/m4", "-D_CF_DIR_=/usr/share/sendmail/cf/", "/usr/share/sendmail/cf/m4/cf.m4",
			"/srv/etc/sendmail.mc"), capture_output=True, text=True)
		if made.returncode != 0:
			raise RuntimeError("sendmail.cf: " + made.stderr)
		self.write("etc/sendmail.cf", made.stdout)
		program = glob.glob(ROOT + "/usr/lib*/**/sm.bin/sendmail", recursive=True) + glob.glob(ROOT + "/usr/libexec/sendmail/sendmail")
		self.spawn(program[0][len(ROOT):], "-bD", "-C", "/srv/etc/sendmail.cf", "-q2s", "-D", "/srv/sendmail.log")


class Rspamd(Peer):
	"""Judges messages; without the modules that would ask the network."""
	name = "rspamd"
	nameserver, more, filters = "127.0.0.1:9", "", "chartable,regexp"  # nobody answers there
	network = "rbl surbl fuzzy_check dkim dmarc spf arc asn mx_check neural phishing url_redirector whitelist greylist " \
		"ratelimit replies history_redis reputation dkim_signing bimi p0f hfilter rspamd_update".split()

	def configure(self):
		self.write("etc/rspamd.conf", f"""options {{
	pidfile = "/srv/rspamd.pid"; filters = "{self.filters}"; url_tld = "${{SHAREDIR}}/effective_tld_names.dat";
	tempdir = "/tmp"; allow_raw_input = true; rrd = ""; control_socket = "/srv/lib/rspamd.sock mode=0600";
	dns {{ nameserver = ["{self.nameserver}"]; timeout = 0.1s; retransmits = 1; sockets = 1; }}
}}
logging {{ type = "file"; filename = "/srv/log/rspamd.log"; level = "notice"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{self.port}"; count = 1; }}
.include "$CONFDIR/common.conf"
""" + "".join(f"{m} {{ enabled = false; }}\n" for m in self.network) + self.more)
		for folder in ("log", "lib"):
			self.folder(folder, "_rspamd")

	fixed = {"/var/lib/rspamd": "lib"}

	def run(self):
		os.makedirs(os.path.join(ROOT, "var/lib/rspamd"), exist_ok=True)
		self.spawn("/usr/bin/rspamd", "-f", "-u", "_rspamd", "-g", "_rspamd", "-c", "/srv/etc/rspamd.conf")

	def ask(self, path, body=b"", headers=None):
		http = http_client.HTTPConnection("127.0.0.1", self.port, timeout=100)
		http.request("POST" if body else "GET", path, body or None, headers or {})
		return http.getresponse().read()

	def ready(self):
		return self.ask("/ping").startswith(b"pong")

	def symbols(self, data):
		"""What it found in the message: {symbol: score}."""
		return {name: s["score"] for name, s in self.judge(data).items()}

	def judge(self, data):
		"""The same with all it says of each symbol."""
		return json.loads(self.ask("/checkv2", data, {"From": "a@books.example", "Rcpt": "b@x.example"}))["symbols"]


def certificates(folder):
	"""A test CA and a server's certificate for localhost, 127.0.0.1 and relay.example: {"ca", "cert", "key", and
	"other-cert", "other-key" (same CA, another name), "self-cert", "self-key" (signed by nobody)}: paths."""
	files = {n: os.path.join(folder, n + ".pem") for n in ("ca", "ca-key", "cert", "key", "other-cert", "other-key",
		"self-cert", "self-key")}
	if os.path.exists(files["self-cert"]):
		return files
	os.makedirs(folder, exist_ok=True)

	def request(subject, key, out, *more):
		subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
			"-subj", subject, "-keyout", key, "-out", out, *more], check=True, capture_output=True)

	request("/CN=Test CA", files["ca-key"], files["ca"])
	for name, alt in (("", "DNS:localhost,DNS:relay.example,IP:127.0.0.1"), ("other-", "DNS:elsewhere.example")):
		request("/CN=server", files[name + "key"], files[name + "cert"], "-CA", files["ca"], "-CAkey", files["ca-key"],
			"-addext", "subjectAltName=" + alt, "-addext", "basicConstraints=critical,CA:FALSE")
	request("/CN=localhost", files["self-key"], files["self-cert"], "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
	return files
