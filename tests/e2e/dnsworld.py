"""A small Internet for direct delivery, in network namespaces: NSD with a signed zone, Unbound that validates it, Postfix
receivers on hosts of their own, and a server of MTA-STS policies.

The test's process is in a network namespace of its own, so that the addresses can be public ones. Each receiver is in a further namespace behind a veth pair. Names below `example` are
signed (its key is the trust anchor); names below `plain` are not."""
import hashlib
import http.server
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import harness
import peers

US4, US6, POLICIES = "5.0.0.254", "2a00::254", "5.0.0.200"
REFUSING, SILENT, SILENT6 = "5.0.0.98", "5.0.0.99", "2a00::99"  # nothing listens; nobody answers


def ip(*args):
	subprocess.run(["ip", *args], check=True, capture_output=True)


class Internet:
	"""The namespace of this process, and the hosts beyond it."""

	def __init__(self):
		peers.need()
		if not os.path.exists("/usr/sbin/ip") and not os.path.exists("/sbin/ip"):
			raise peers.Unavailable("network namespaces need iproute2")
		self.holders = []
		if not harness.network_of_its_own():
			raise peers.Unavailable("network namespaces are not permitted here")
		for address in US4, POLICIES, REFUSING:
			ip("addr", "add", address + "/32", "dev", "lo")
		# Behind this link is nobody: packets go to a hardware address that nothing has.
		ip("link", "add", "void0", "type", "veth", "peer", "name", "void1")
		for name in "void0", "void1":
			ip("link", "set", name, "up")
		ip("route", "add", SILENT + "/32", "dev", "void0", "src", US4)
		ip("-6", "addr", "add", US6 + "/128", "dev", "void0", "nodad")
		ip("-6", "route", "add", SILENT6 + "/128", "dev", "void0", "src", US6)
		for address in SILENT, SILENT6:
			ip("neigh", "add", address, "lladdr", "02:00:00:00:00:01", "dev", "void0")

	def host(self, number, four=True, six=True):
		"""A host with 5.0.0.NUMBER and 2a00::NUMBER; returns what goes before a command that is to run there."""
		holder = subprocess.Popen(["unshare", "--net", "sleep", "1000"], stdin=subprocess.DEVNULL)
		self.holders.append(holder)
		mine, end = os.stat("/proc/self/ns/net").st_ino, time.monotonic() + 100
		while os.stat(f"/proc/{holder.pid}/ns/net").st_ino == mine and time.monotonic() < end:
			time.sleep(0.005)
		enter = ["nsenter", f"--net=/proc/{holder.pid}/ns/net", "--"]
		near, there = f"h{number}", f"p{number}"
		ip("link", "add", near, "type", "veth", "peer", "name", there, "netns", str(holder.pid))
		ip("link", "set", near, "up")
		commands = ["link set lo up", f"link set {there} up"]
		if four:
			ip("route", "add", f"5.0.0.{number}/32", "dev", near, "src", US4)
			commands += [f"addr add 5.0.0.{number}/32 dev {there}", f"route add {US4}/32 dev {there}"]
		if six:
			ip("-6", "addr", "add", US6 + "/128", "dev", near, "nodad")  # IPv6 answers for an address on its own link only
			ip("-6", "route", "add", f"2a00::{number}/128", "dev", near, "src", US6)
			commands += [f"-6 addr add 2a00::{number}/128 dev {there} nodad", f"-6 route add {US6}/128 dev {there}"]
		for command in commands:
			subprocess.run([*enter, "ip", *command.split()], check=True, capture_output=True)
		return enter

	def close(self):
		for holder in self.holders:
			holder.kill()
			holder.wait()


class Receiver(peers.Postfix):
	"""Postfix as a receiving host; what it takes goes on to the sink of the test."""

	def __init__(self, folder, internet, number, name, sink_port, tls=None, four=True, **options):
		main = {"inet_interfaces": "all", "inet_protocols": "all", "myhostname": name, "relayhost": f"[{US4}]:{sink_port}",
			"mynetworks": f"{US4}/32 [{US6}]/128", "smtp_bind_address": "", "smtpd_tls_received_header": "yes",
			"smtpd_tls_loglevel": "1"}
		if not four:  # it takes over IPv6 only, and hands on the same way
			main["relayhost"] = f"[{US6}]:{sink_port}"
		main.update(options.pop("main", {}))
		super().__init__(folder, sink_port, own=name, port=25, listen="", tls=tls, main=main, **options)
		self.enter = internet.host(number, four=four)
		self.address = f"5.0.0.{number}" if four else f"2a00::{number}"


class Names(peers.Peer):
	"""NSD on port 53 of an address; zones = {name: text}. Names in `signed` are signed; what `spoil` maps is changed after
	the signing, so that it does not verify."""
	name = "nsd"

	def configure(self):
		self.folder("zones", "nsd")
		for zone, text in self.options["zones"].items():
			self.write(f"zones/{zone}", f"$ORIGIN {zone}.\n$TTL 300\n@ SOA ns.{zone}. root.{zone}. 1 3600 900 604800 60\n"
				f"@ NS ns.{zone}.\nns A 127.0.0.1\n{text}")
		for zone in self.options["signed"]:
			self.sign(zone)
		zones = "".join(f'zone:\n name: "{z}"\n zonefile: "/srv/zones/{z}"\n' for z in self.options["zones"])
		self.write("etc/nsd.conf", f'server:\n ip-address: 127.0.0.1@{self.port}\n username: nsd\n chroot: ""\n'
			' zonesdir: "/srv/zones"\n database: ""\n pidfile: ""\n xfrdfile: "/srv/zones/xfrd"\n zonelistfile: "/srv/zones/list"\n'
			' xfrdir: "/tmp"\n server-count: 1\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n' + zones)

	def tool(self, *argv):
		"""A command of the peers' root in the zones' folder."""
		command = [a.replace('exec chroot "$R"', 'exec unshare --root "$R" --wd /srv/zones') for a in self.command(*argv)]
		run = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
		assert run.returncode == 0, run.stderr
		return run.stdout.strip()

	def sign(self, zone):
		key = self.tool("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", zone)
		self.tool("ldns-signzone", "-f", f"{zone}.signed", zone, key)
		os.rename(f"{self.srv}/zones/{zone}.signed", f"{self.srv}/zones/{zone}")
		self.anchor = f"{self.srv}/zones/{key}.key"
		with open(f"{self.srv}/zones/{zone}") as f:
			text = f.read()
		for before, after in self.options.get("spoil", {}).items():
			text, n = re.subn(before, after, text)
			assert n, before
		with open(f"{self.srv}/zones/{zone}", "w") as f:
			f.write(text)

	def run(self):
		self.spawn("/usr/sbin/nsd", "-d", "-c", "/srv/etc/nsd.conf")

	def ready(self):
		return asks("127.0.0.1", self.port, next(iter(self.options["zones"])))


class Resolver(peers.Peer):
	"""Unbound, validating; it asks the test's name server for the test's zones, and nobody else."""
	name = "unbound"

	def configure(self):
		names = self.options["names"]
		self.write("etc/anchor.key", open(names.anchor).read())
		stubs = "".join(f'stub-zone:\n name: "{z}"\n stub-addr: 127.0.0.1@{names.port}\n' for z in names.options["zones"])
		self.write("etc/unbound.conf", f'server:\n interface: 127.0.0.1@{self.port}\n chroot: ""\n username: ""\n directory: "/srv"\n'
			' pidfile: ""\n use-syslog: no\n do-not-query-localhost: no\n trust-anchor-file: "/srv/etc/anchor.key"\n'
			' module-config: "validator iterator"\n root-hints: "/srv/etc/root"\n val-log-level: 2\n'
			'remote-control:\n control-enable: no\n' + stubs)
		self.write("etc/root", ". NS a.root.\na.root. A 127.0.0.1\n")

	def run(self):
		self.spawn("/usr/sbin/unbound", "-d", "-c", "/srv/etc/unbound.conf")

	def ready(self):
		return asks("127.0.0.1", self.port, next(iter(self.options["names"].options["zones"])))


def asks(server, port, zone):
	"""Does the server answer for the zone's SOA?"""
	question = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0" + b"".join(bytes([len(p)]) + p.encode() for p in zone.split(".")) + b"\0\0\6\0\1"
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
		s.settimeout(1)
		s.sendto(question, (server, port))
		answer = s.recv(4096)
		return answer[:2] == question[:2] and answer[3] & 15 == 0 and answer[6:8] != b"\0\0"


class PolicyServer:
	"""https://mta-sts.DOMAIN/.well-known/mta-sts.txt; policies = {domain: text}. `asked` counts by domain."""

	def __init__(self, cert, key, policies):
		self.policies, self.asked, outer = policies, {}, self

		class Handler(http.server.BaseHTTPRequestHandler):
			def do_GET(self):
				domain = (self.headers["Host"] or "").removeprefix("mta-sts.")
				outer.asked[domain] = outer.asked.get(domain, 0) + 1
				text = outer.policies.get(domain) if self.path == "/.well-known/mta-sts.txt" else None
				if text and text.startswith("https://"):
					self.send_response(301)
					self.send_header("Location", text)
					self.end_headers()
					return
				self.send_response(200 if text else 404)
				self.send_header("Content-Type", "text/plain")
				self.end_headers()
				self.wfile.write((text or "none here\n").encode())

			def log_message(self, *args):
				pass

		context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
		context.load_cert_chain(cert, key)
		self.server = http.server.ThreadingHTTPServer((POLICIES, 443), Handler)
		self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

	def __enter__(self):
		threading.Thread(target=self.server.serve_forever, daemon=True).start()
		return self

	def __exit__(self, *exc):
		self.server.shutdown()
		self.server.server_close()


class Authority:
	"""A test CA; certificate(NAME, …) gives (cert, key) files. name None: signed by itself."""

	def __init__(self, folder):
		os.makedirs(folder, exist_ok=True)
		self.folder, self.ca = folder, os.path.join(folder, "ca.pem")
		self.request(self.ca, os.path.join(folder, "ca.key"), "/CN=Test CA")

	def request(self, cert, key, subject, *more):
		subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
			"-subj", subject, "-keyout", key, "-out", cert, *more], check=True, capture_output=True)

	def certificate(self, *names, trusted=True):
		stem = os.path.join(self.folder, names[0] + ("" if trusted else ".self"))
		by = ("-CA", self.ca, "-CAkey", os.path.join(self.folder, "ca.key")) if trusted else ()
		self.request(stem + ".pem", stem + ".key", "/CN=server", *by, "-addext",
			"subjectAltName=" + ",".join("DNS:" + n for n in names), "-addext", "basicConstraints=critical,CA:FALSE")
		return stem + ".pem", stem + ".key"


def tlsa(cert, usage=3):
	"""The rdata of a TLSA record of the certificate's public key, hashed."""
	public = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-pubkey"], check=True, capture_output=True).stdout
	der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True, capture_output=True).stdout
	return f"{usage} 1 1 {hashlib.sha256(der).hexdigest()}"
