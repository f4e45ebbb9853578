<?php
// The page behind the unsubscribe link on a web server elsewhere: it sends the mail that the link beside it in
// List-Unsubscribe would send, and `postrider serve`, `receive` or `fetch` does the rest. Write your [return-path] domain.
const DOMAIN = 'bounces.books.example';
header('Content-Type: text/html; charset=utf-8');
header('Cache-Control: no-store');
$token = $_GET['t'] ?? '';
if (!is_string($token) || !preg_match('/^[a-z0-9]{20,80}$/D', $token)) {
	http_response_code(400);
	$text = 'This link is not complete. Please answer the newsletter with the word “unsubscribe”.';
} elseif ($_SERVER['REQUEST_METHOD'] !== 'POST') { // filters follow links: a GET only asks
	$text = '<form method="post">No more newsletters? <button>Unsubscribe · 配信を停止する</button></form>';
} elseif (mail("u-$token@" . DOMAIN, 'unsubscribe', 'unsubscribe')) {
	$text = 'You are unsubscribed. 配信を停止しました。';
} else {
	http_response_code(503);
	$text = 'Please try again in a while.';
}
echo "<!DOCTYPE html>\n<html><head><meta name=\"viewport\" content=\"width=device-width\"><title>Newsletter</title></head>\n<body>$text</body></html>\n";
