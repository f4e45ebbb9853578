"""Where TLS is demanded, nothing less will do: every kind of wrong certificate, and every way to talk us out of TLS. The password
is never told, and no message goes out."""
import contextlib
import os
import ssl
import subprocess

import dnsworld
import faults
from smtpd import Close, Sink

PASSWORD = "right"


def openssl(folder, *argv):
	subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


class Authority:
	"""A test CA in a folder; make() signs certificates of every kind for localhost."""

	def __init__(self, folder, name):
		self.folder, self.name = folder, name
		os.makedirs(folder, exist_ok=True)
		openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Test CA", "-keyout", name + "-ca.key", "-out", name + "-ca.pem",
			"-addext", "keyUsage=critical,keyCertSign")
		openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", name + ".key", "-out", name + ".csr")

	def path(self, name):
		return os.path.join(self.folder, name)

	def make(self, kind, alt="DNS:localhost,IP:127.0.0.1", start="20200101000000Z", end="20400101000000Z", digest="sha256", usage="serverAuth", ca="FALSE", csr=None,
			issuer=None):
		issuer = issuer or (self.name + "-ca.pem", self.name + "-ca.key")
		conf = self.path(kind + ".cnf")
		with open(conf, "w") as f:
			f.write("[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=.\ndatabase=" + kind + ".db\nserial=" + kind + ".srl\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
				f"[x]\nbasicConstraints=critical,CA:{ca}\nextendedKeyUsage={usage}\n" + (f"subjectAltName={alt}\n" if alt else ""))
		open(self.path(kind + ".db"), "w").close()
		with open(self.path(kind + ".srl"), "w") as f:
			f.write("%02X" % (len(os.listdir(self.folder)) % 200 + 17))
		openssl(self.folder, "ca", "-batch", "-notext", "-config", conf, "-extensions", "x", "-md", digest, "-cert", issuer[0], "-keyfile", issuer[1], "-startdate", start,
			"-enddate", end, "-in", csr or self.name + ".csr", "-out", kind + ".pem")
		return self.path(kind + ".pem"), self.path(self.name + ".key")


def certificates(folder):
	"""{kind: (certificate, key)}; `good` is the one that will do."""
	ours, other = Authority(folder, "ours"), Authority(folder, "other")
	made = {
		"good": ours.make("good"),
		"expired": ours.make("expired", end="20210101000000Z"),
		"not-yet-valid": ours.make("not-yet", start="20390101000000Z"),
		"another-host": ours.make("another", alt="DNS:elsewhere.example"),
		"wildcard-elsewhere": ours.make("wildcard", alt="DNS:*.localhost"),
		"name-in-a-comment": ours.make("prefix", alt="DNS:localhost.evil.example,DNS:evil-localhost"),
		"address-as-name": ours.make("address", alt="DNS:127.0.0.1"),
		"for-clients-only": ours.make("clients", usage="clientAuth"),
		"sha1": ours.make("sha1", digest="sha1"),
		"unknown-authority": other.make("stranger"),
	}
	openssl(folder, "req", "-x509", "-key", "ours.key", "-days", "30", "-subj", "/CN=localhost", "-out", "self.pem", "-addext", "subjectAltName=DNS:localhost")
	made["self-signed"] = (ours.path("self.pem"), ours.path("ours.key"))
	openssl(folder, "req", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=localhost", "-keyout", "short.key", "-out", "short.csr")
	made["short-key"] = (ours.make("short", csr="short.csr")[0], ours.path("short.key"))
	# Signed by a certificate that may sign nothing.
	openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "child.key", "-out", "child.csr")
	child = ours.make("child", csr="child.csr", issuer=("good.pem", "ours.key"))[0]
	with open(child, "a") as f:
		f.write(open(ours.path("good.pem")).read())
	made["signed-by-a-leaf"] = (child, ours.path("child.key"))
	return ours.path("ours-ca.pem"), made


class Stripped(Sink):
	"""Somebody between took STARTTLS out of what the server offers, and offers a login in clear."""
	async def ehlo(self, s, arg):
		return "250-x.example\r\n250 AUTH PLAIN LOGIN"


class Refuses(Stripped):
	reply = "454 4.7.0 TLS is not available"

	async def ehlo(self, s, arg):
		return "250-x.example\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"

	async def command(self, s, verb, arg):
		return self.reply if verb == "STARTTLS" else await super().command(s, verb, arg)


class Plain(Refuses):
	"""Says yes, and goes on in clear."""
	reply = "220 go on\r\n250-x.example\r\n250 AUTH PLAIN LOGIN"


class PlainLater(Refuses):
	reply = "220 go on"


class Closes(Refuses):
	async def command(self, s, verb, arg):
		if verb == "STARTTLS":
			await s.send("220 go on")
			raise Close
		return await super().command(s, verb, arg)


class NoEhlo(Stripped):
	async def ehlo(self, s, arg):
		return "502 what?"


class AuthInClearOnly(Sink):
	"""Under TLS the login is gone."""
	async def ehlo(self, s, arg):
		return "250 x.example" if s.tls else "250-x.example\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"


def said(sink):
	return [c.split(" ")[0].upper() for s in sink.sessions for c in s.commands]


def try_all(w, servers, ca):
	"""A test message by a route to each; returns {name: exit status}."""
	routes = ""
	for name, (sink, more) in servers.items():
		routes += f"[route {name}]\nkind = relay\nhost = localhost\nport = {sink.port}\nuser = news\npassword-file = password\nca-file = {ca}\ntimeout = 5s\n" + more
	w.write("password", PASSWORD + "\n")
	os.chmod(w.path("password"), 0o600)
	w.configure(1, extra=routes)
	w.message()
	w.audience(1)
	children = {name: w.start("test", "june.html", "--to", "ann@x.example", "--as", "r0@x.example", "--route", name) for name in servers}
	return {name: w.finish(child, expect=None) for name, child in children.items()}


def test_tls_all_the_way(w):
	"""require-tls: REQUIRETLS with each message, and no mail through who does not offer it."""
	authority = dnsworld.Authority(w.path("ca"))

	class Knows(Sink):
		extensions = Sink.extensions + ["REQUIRETLS"]

	for kind, said in (Knows, True), (Sink, False):
		with kind(tls=authority.certificate("localhost")) as sink:
			w.configure(sink.port, host="localhost", tls="starttls", ca_file=authority.ca, require_tls="yes")
			w.audience(3)
			sent = w.run("send", w.message(), "--list", "news", "--name", kind.__name__, "--again", "--yes", "--patience", "0", expect=0 if said else None)
			mails = [c for s in sink.sessions for c in s.commands if c.startswith("MAIL")]
			assert len(sink.messages) == (3 if said else 0) == len(mails), mails
			assert all(c.endswith(" REQUIRETLS") or " REQUIRETLS " in c for c in mails), mails
			assert said or (sent.status != 0 and "REQUIRETLS" in sent.err), sent


def test_certificates(w):
	ca, made = certificates(w.path("tls"))
	with contextlib.ExitStack() as stack:
		servers = {}
		for kind, (cert, key) in made.items():
			for way, tls in (("starttls", "starttls"), ("implicit", "implicit")):
				sink = Sink(users={"news": PASSWORD}, implicit=way == "implicit")
				sink.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
				sink.context.set_ciphers("DEFAULT:@SECLEVEL=0") # or ours would not even offer the weak ones
				sink.context.load_cert_chain(cert, key)
				servers[f"{kind}-{way}"] = (stack.enter_context(sink), f"tls = {tls}\n")
		done = try_all(w, servers, ca)
		for name, result in done.items():
			sink = servers[name][0]
			if name.startswith("good-"):
				assert result.status == 0 and len(sink.messages) == 1, (name, str(result))
				continue
			assert result.status in (1, 69, 77), (name, str(result))
			assert not sink.messages and not {"AUTH", "MAIL"} & set(said(sink)), (name, said(sink))
			assert "ertificate" in result.out + result.err, (name, str(result))


def test_talked_out_of_tls(w):
	ca, made = certificates(w.path("tls"))
	with contextlib.ExitStack() as stack:
		kinds = [Stripped, Refuses, Plain, PlainLater, Closes, NoEhlo, faults.GarbageTls, faults.FalseStartTls]
		servers = {k.__name__.lower(): (stack.enter_context(k(users={"news": PASSWORD})), "tls = starttls\n") for k in kinds}
		late = stack.enter_context(AuthInClearOnly(tls=made["good"], users={"news": PASSWORD}))
		servers["authinclearonly"] = (late, "tls = starttls\n")
		servers["plainatthetlsport"] = (stack.enter_context(Sink(users={"news": PASSWORD})), "tls = implicit\n")
		for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
			sink = Sink(users={"news": PASSWORD})
			sink.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
			sink.context.set_ciphers("DEFAULT:@SECLEVEL=0")
			sink.context.load_cert_chain(*made["good"])
			sink.context.minimum_version = sink.context.maximum_version = version
			servers[version.name.lower().replace("_", "-")] = (stack.enter_context(sink), "tls = starttls\n")
		for name, result in try_all(w, servers, ca).items():
			sink = servers[name][0]
			assert result.status in (1, 69, 77), (name, str(result))
			assert not sink.messages and not {"AUTH", "MAIL"} & set(said(sink)), (name, said(sink))
			assert PASSWORD not in result.out + result.err
