#include "templates/message_language.h"

static const struct message_words words[] = {
	{"en", "Unsubscribe", "To unsubscribe: ", "%-d %B %Y", "View in your browser"},
	{"de", "Newsletter abbestellen", "Newsletter abbestellen: ", "%-d. %B %Y", "Im Browser ansehen"},
	{"es", "Darse de baja", "Para darse de baja: ", "%-d de %B de %Y", "Ver en el navegador"},
	{"fr", "Se désabonner", "Se désabonner : ", "%-d %B %Y", "Voir dans le navigateur"},
	{"it", "Annulla l’iscrizione", "Per annullare l’iscrizione: ", "%-d %B %Y", "Leggi nel browser"},
	{"ja", "配信停止はこちら", "配信停止はこちら: ", "%Y年%-m月%-d日", "ブラウザで表示"},
	{"nl", "Afmelden", "Afmelden: ", "%-d %B %Y", "Bekijk in de browser"},
	{"pt", "Cancelar a inscrição", "Para cancelar a inscrição: ", "%-d de %B de %Y", "Ver no navegador"},
};

enum { WORDS = sizeof words / sizeof words[0] };

/* Hiragana and katakana are U+3040 to U+30FF: E3 81 to E3 83. One Japanese title in an English letter makes
 * no Japanese one; tags and Liquid's braces are nobody's language. */
static bool is_japanese(struct str s)
{
	size_t kana = 0, latin = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '<' || c == '{')
			i += str_find(str_n(s.p + i, s.n - i), c == '<' ? '>' : '}');
		else if (c == 0xE3 && i + 2 < s.n && (unsigned char)s.p[i + 1] >= 0x81 &&
			 (unsigned char)s.p[i + 1] <= 0x83)
			kana++;
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
			latin++;
	}
	return kana > 0 && kana * 20 >= latin;
}

const struct message_words *message_words(struct str language, struct str body)
{
	struct str primary = str_n(language.p, str_find(language, '-'));
	if (primary.n == 0)
		primary = is_japanese(body) ? STR("ja") : STR("en");
	for (size_t i = 0; i < WORDS; i++)
		if (str_is_nocase(primary, words[i].language))
			return &words[i];
	return &words[0];
}
