#!/bin/sh
# The page behind the unsubscribe link, as a CGI program on the machine that sends:
#
#   [unsubscribe]
#   url = https://books.example/unsubscribe?t={token}
#
# It runs as the user who owns the database (fcgiwrap -u, suexec). A GET only asks, since filters follow links; a POST
# unsubscribes: the button's, or the one that a mail program sends by itself (RFC 8058).
set -u
postrider=${POSTRIDER:-/usr/local/bin/postrider}
token=$(printf %s "${QUERY_STRING:-}" | tr '&' '\n' | sed -n 's/^t=\([a-z0-9]\{20,80\}\)$/\1/p' | head -n 1)

page() {
	printf 'Status: %s\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n\r\n' "$1"
	printf '<!DOCTYPE html>\n<html><head><meta name="viewport" content="width=device-width"><title>Newsletter</title></head>\n'
	printf '<body>%s</body></html>\n' "$2"
}

if [ -z "$token" ]; then
	page '400 Bad Request' '<p>This link is not complete. Please answer the newsletter with the word “unsubscribe”.</p>'
elif [ "${REQUEST_METHOD:-GET}" != POST ]; then
	page '200 OK' '<form method="post"><p>No more newsletters? <button>Unsubscribe · 配信を停止する</button></p></form>'
else
	"$postrider" --quiet contact unsubscribe --token "$token" >&2
	case $? in
	0) page '200 OK' '<p>You are unsubscribed. 配信を停止しました。</p>' ;;
	65) page '400 Bad Request' '<p>This link is not ours, or not complete.</p>' ;;
	*) page '503 Service Unavailable' '<p>Please try again in a while.</p>' ;;
	esac
fi
