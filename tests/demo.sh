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

# 1,000 readers in Japan and elsewhere. Some addresses carry a word that the sandbox gives a fate (postrider help sandbox).
awk 'BEGIN {
	nj = split("佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤", last_ja); split("花子 太郎 さくら 蓮 陽菜 大翔 結衣 湊 葵 悠真", first_ja)
	ne = split("Alice Ben Chloé Daniel Emma Félix Grace Henry Isla Jack", first_en)
	split("京都 東京 大阪 札幌 福岡", city_ja); split("London Dublin Zürich Toronto Sydney", city_en)
	print "email,first_name,last_name,city,language,points"
	for (i = 1; i <= 1000; i++) {
		fate = i % 50 == 7 ? "unknown" : i % 125 == 9 ? "full" : i % 100 == 13 ? "greylist" : i % 250 == 21 ? "block" : ""
		if (fate != "") fate = "-" fate
		if (i % 2) printf "reader%d%s@mail.example,%s,%s,%s,ja,%d\n", i, fate, first_ja[i % nj + 1], last_ja[int(i / 10) % nj + 1], city_ja[i % 5 + 1], i % 97
		else printf "reader%d%s@post.example,%s,Miller,%s,en,%d\n", i, fate, first_en[i % ne + 1], city_en[i % 5 + 1], i % 97
	}
}' >readers.csv
