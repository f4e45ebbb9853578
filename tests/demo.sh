#!/bin/sh
# The main job on a list that it makes, against the built-in sandbox: nothing leaves this machine.
# usage: tests/demo.sh BUILD
set -eu
postrider=$(cd "$1" && pwd)/postrider
demo=$1/demo
rm -rf "$demo"
mkdir -p "$demo"
cd "$demo"

show() {
	printf '\n$ postrider %s\n' "$*"
	"$postrider" "$@"
}

# 1,000 readers in Japan and elsewhere. A few addresses end in a word that gives them a fate in the sandbox.
awk 'BEGIN {
	split("佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤", family); split("花子 太郎 さくら 蓮 陽菜 大翔 結衣 湊 葵 悠真", given)
	split("Alice Ben Chloé Daniel Emma Félix Grace Henry Isla Jack", first); split("Miller Novak Dubois Larsen Rossi", last)
	split("京都 東京 大阪 札幌 福岡", ja); split("London Dublin Zürich Toronto Kyoto", en)
	print "email,first_name,last_name,city,language"
	for (i = 1; i <= 1000; i++) {
		fate = i % 50 == 7 ? "-unknown" : i % 100 == 13 ? "-greylist" : i % 250 == 21 ? "-block" : i % 100 == 37 ? "-returned" : i == 961 ? "-complaint" : i % 125 == 91 ? "-away" : ""
		if (i % 2) printf "reader%d%s@mail.example,%s,%s,%s,ja\n", i, fate, given[int(i / 2) % 10 + 1], family[int(i / 20) % 10 + 1], ja[i % 5 + 1]
		else printf "reader%d%s@post.example,%s,%s,%s,en\n", i, fate, first[int(i / 2) % 10 + 1], last[int(i / 20) % 5 + 1], en[i % 5 + 1]
	}
}' >thousand.csv

show init .
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
back=$(free_port)
sed -i -e "s/^port *= *2525/port = $port/" -e "s/^\[return-path\]/&\nlisten = 127.0.0.1:$back/" postrider.conf
printf '\n[retry]\ndelays = 2s\n' >>postrider.conf

printf '\n$ postrider sandbox --port %s --return-to 127.0.0.1:%s &\n' "$port" "$back"
"$postrider" sandbox --port "$port" --return-to "127.0.0.1:$back" >sandbox.out 2>&1 &
sandbox=$!
printf '$ postrider serve &\n'
"$postrider" serve >serve.out 2>&1 &
serve=$!
trap 'kill $sandbox $serve 2>/dev/null || :' EXIT
tries=0
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null; do
	tries=$((tries + 1))
	[ $tries -lt 50 ] || { cat sandbox.out >&2; exit 1; }
	sleep 0.1
done

show import readers thousand.csv
show preview newsletter.md --list readers --nth 1 --part text
show send newsletter.md --list readers --name june --yes --rate 150/s
# What the sandbox took first and returns now: 10 bounces, a complaint, and automatic answers, which are none.
tries=0
until [ "$(grep -c "listener: bounce" serve.out)" -ge 10 ] && [ "$(grep -c "listener: complaint" serve.out)" -ge 1 ]; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || { cat serve.out >&2; exit 1; }
	sleep 0.1
done
show bounces --campaign june | tail -n 8
show trace reader13-greylist@mail.example
show report june --format html -o june.html >/dev/null

cat <<END

1,000 personal messages went over SMTP to the sandbox; nothing left this machine.
The report as a page:   $demo/june.html
Play on:                cd $demo; $postrider help
END
