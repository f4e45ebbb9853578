"""Delivery over a path with 100 ms round trip (tests/tools/distance.c), to Postfix and to the sink, beside other clients."""
import os
import smtplib
import subprocess
import threading
import time

import distance
import harness
import peers
from campaigns import fresh, letter
from others import node_modules
from sink import FastSink

RTT = 100
SIZE = 11000  # about what our message comes to
MAIL = """const nodemailer = require("nodemailer");
const [host, port, connections, messages, size] = process.argv.slice(2);
const out = nodemailer.createTransport({host, port: +port, pool: true, maxConnections: +connections, maxMessages: 500,
	ignoreTLS: true});
const line = "x".repeat(76) + "\\n";
const text = line.repeat(+size / 78);
const begin = process.hrtime.bigint();
Promise.all(Array.from({length: +messages}, (_, i) => out.sendMail({from: "news@books.example",
	to: `r${i}@x.example`, subject: `${i}`, text}))).then(() => {
	console.log(Number(process.hrtime.bigint() - begin) / 1e9);
	out.close();
}, e => { console.error(e); process.exit(1); });
"""


def postrider(letter, folder, server, connections, chunking, messages):
	"""Messages a second, and their size."""
	with harness.World(folder) as w:
		w.configure(server.port, host=server.address, tls="none", connections=connections, chunking=chunking,
			messages_per_connection=10000)
		w.audience(messages)
		w.write("june.html", letter)
		w.run("-q", "send", "june.html", "--list", "news", "--name", "june", "--yes", timeout=600)
		status = w.status("june")
		assert status["counts"]["sent"] == messages, status
		return messages / status["seconds"]


def smtp_source(postfix, connections, messages, size):
	argv = distance.over_there(postfix.processes[0], postfix.command("/usr/sbin/smtp-source", "-d", "-s", str(connections), "-m", str(messages), "-l", str(size),
		"-f", "a@books.example", "-t", "b@x.example", f"{postfix.address}:{postfix.port}"))
	start = time.monotonic()
	subprocess.run(argv, check=True, timeout=600)
	return messages / (time.monotonic() - start)


def python_smtplib(server, connections, messages, size):
	text = "From: news@books.example\nSubject: x\n\n" + ("x" * 76 + "\n") * (size // 78)
	left, lock, times = [messages], threading.Lock(), []

	def work():
		with smtplib.SMTP(server.address, server.port, timeout=60) as s:
			s.ehlo()
			times.append(time.monotonic())
			while True:
				with lock:
					if left[0] == 0:
						break
					left[0] -= 1
				s.sendmail("news@books.example", ["b@x.example"], text)
			times.append(time.monotonic())

	threads = [threading.Thread(target=work) for _ in range(connections)]
	for t in threads:
		t.start()
	for t in threads:
		t.join()
	return messages / (max(times) - min(times))


def nodemailer(folder, server, connections, messages, size):
	with open(os.path.join(folder, "mail.js"), "w") as f:
		f.write(MAIL)
	out = subprocess.run(["node", "mail.js", server.address, str(server.port), str(connections), str(messages), str(size)], cwd=folder,
		env={**os.environ, "NODE_PATH": os.path.join(node_modules(), "node_modules")}, check=True, capture_output=True, text=True, timeout=600).stdout
	return messages / float(out)


def far(b):
	"""Delivery over a path of 100 ms round trip to Postfix and to the sink, beside smtp-source, nodemailer and smtplib."""
	b.title = f"Over a way of {RTT} ms round trip"
	if not distance.permitted():
		b.without("the way", "TUN devices and namespaces need root here")
		return
	peers.need()
	lines, size = ["| client | messages/s | of smtp-source |", "|---|---|---|"], SIZE

	def count(messages):
		return max(20, messages // b.count(1, 10))

	def add(name, rate, reference=None):
		lines.append(f"| {name} | {rate:,.1f} | " + ("" if reference is None else f"{rate / reference:.2f}") + " |")
		return rate

	# It takes mail and holds it, for all alike: what it delivers meanwhile, or still from the run before, would take from what it takes.
	options = {"main": {"smtpd_client_restrictions": "check_client_access static:HOLD", "smtpd_client_connection_count_limit": "0"}}
	with peers.Postfix(fresh("distance"), 0, way=distance.FarAway(RTT), **options) as postfix:
		here = max(smtp_source(postfix, 100, count(10000), size) for _ in range(2))
		add("smtp-source -d -s 100, without the way (what that Postfix takes)", here, here)
		add("smtp-source -d -s 20, without the way", smtp_source(postfix, 20, count(10000), size), here)
		for connections, chunking, messages, key in ((1, "no", 150, "far-1-pipelining"), (1, "yes", 600, "far-1"), (20, "no", 3000, "far-20"),
				(20, "yes", 60000, "far-20-chunking")):
			rate = add(f"postrider, Postfix, {connections} connections, " + ("CHUNKING" if chunking == "yes" else "PIPELINING only"),
				postrider(letter(), fresh("distance-send"), postfix, connections, chunking, count(messages)), here)
			if not b.quick:
				b.target(key, rate / here if key == "far-20-chunking" else rate)
		for connections, messages in ((1, 40), (20, 600)):
			try:
				add(f"nodemailer, Postfix, {connections} connections", nodemailer(fresh("distance-node"), postfix, connections, count(messages), size), here)
			except peers.Unavailable as e:
				b.without("nodemailer", e)
			add(f"Python smtplib, Postfix, {connections} connections", python_smtplib(postfix, connections, count(messages), size), here)
	with FastSink(fresh("distance"), "--chunking", way=distance.FarAway(RTT)) as sink:
		rate = add("postrider, our sink, 20 connections, CHUNKING", postrider(letter(), fresh("distance-send"), sink, 20, "yes", count(10000)))
		if not b.quick:
			b.target("far-sink", rate)
	b.texts.append("\n".join(lines))
	b.note(f"Messages of {size / 1000:.1f} KB; from first to last message.")


BENCHES = {"distance": far}
