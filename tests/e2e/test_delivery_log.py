"""The delivery log of a real run: a line for each attempt, and a new file after SIGHUP."""
import json
import os
import signal

from harness import interrupt, wait_until
from test_sandbox import start, stop


def lines(path):
	with open(path) as f:
		return [json.loads(line) for line in f]


def test_an_attempt_a_line(w):
	child, port = start(w)
	w.configure(port, connections=2, extra="[log]\ndeliveries = attempts.jsonl\n[retry]\ndelays = 1s\n")
	w.write("news.csv", "email\nann@gmail.com\nbounce@gmail.com\ndefer-1@x.example\n")
	w.run("import", "news", "news.csv")
	w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "30s")
	log = lines(w.path("attempts.jsonl"))
	assert len(log) == w.status("june")["attempts"] == 4, log
	by = {}
	for line in log:
		by.setdefault(line["address"], []).append(line)
	ann, bad, late = by["ann@gmail.com"][0], by["bounce@gmail.com"][0], by["defer-1@x.example"]
	assert (ann["state"], ann["code"], ann["provider"], ann["route"], ann["campaign"]) == ("sent", 250, "google", "main", "june"), ann
	assert ann["peer"] == f"127.0.0.1 port {port}" and ann["tls"] is None and ann["due"] is None, ann
	assert (bad["state"], bad["class"], bad["reason"], bad["action"]) == ("bounced", "hard", "user-unknown", "suppress"), bad
	assert [(a["attempt"], a["state"]) for a in late] == [(1, "deferred"), (2, "sent")], late
	assert late[0]["due"] > late[0]["time"] and late[0]["provider"] is None and late[0]["domain"] == "x.example", late
	stop(w, child)


def test_reopened_on_hangup(w):
	child, port = start(w)
	w.configure(port, extra="[log]\ndeliveries = attempts.jsonl\n")
	w.audience(5, name="a", address="a{}@x.example")
	w.audience(5, name="b", address="b{}@x.example")
	serve = w.start("serve")
	wait_until(lambda: os.path.exists(w.path("attempts.jsonl")))
	w.run("send", w.message(), "--list", "a", "--name", "first", "--yes", "--detach")
	wait_until(lambda: len(lines(w.path("attempts.jsonl"))) == 5)
	os.rename(w.path("attempts.jsonl"), w.path("yesterday.jsonl"))
	serve.send_signal(signal.SIGHUP)
	wait_until(lambda: os.path.exists(w.path("attempts.jsonl")))
	w.run("send", w.message(), "--list", "b", "--name", "second", "--yes", "--detach", "--again")
	wait_until(lambda: len(lines(w.path("attempts.jsonl"))) == 5)
	interrupt(serve, signal.SIGTERM)
	w.finish(serve)
	assert {line["campaign"] for line in lines(w.path("yesterday.jsonl"))} == {"first"}
	assert {line["campaign"] for line in lines(w.path("attempts.jsonl"))} == {"second"}
	stop(w, child)
