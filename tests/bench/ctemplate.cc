// The newsletter by ctemplate: the dictionary is filled for each render, as its users do it.
// usage: ctemplate TEMPLATE RECIPIENTS SECONDS|print
#include <ctemplate/template.h>
#include <ctemplate/template_dictionary.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

using ctemplate::TemplateDictionary;
using ctemplate::TemplateString;

namespace {

struct Book {
	std::string title, author, price, link;
};
struct Recipient {
	std::map<std::string, std::string> column;
	std::string first_name, last_name, email, city, plan, member, order, total, joined, delivery, month, shop, street, editor,
		view_url, unsubscribe_url;
	std::string points_text;
	int points;
	std::vector<Book> books;
};

std::vector<std::string> split(const std::string &s, char at)
{
	std::vector<std::string> v;
	std::istringstream in(s);
	for (std::string piece; std::getline(in, piece, at);)
		v.push_back(piece);
	return v;
}

std::vector<Recipient> read(const char *path)
{
	std::ifstream in(path);
	std::string line;
	std::getline(in, line);
	const std::vector<std::string> names = split(line, '\t');
	std::vector<Recipient> all;
	while (std::getline(in, line)) {
		std::vector<std::string> v = split(line, '\t');
		Recipient r;
		for (size_t i = 0; i < names.size() && i < v.size(); i++)
			r.column[names[i]] = v[i];
		auto take = [&r](const char *name) { return r.column[name]; };
		r.first_name = take("first_name"), r.last_name = take("last_name"), r.email = take("email");
		r.city = take("city"), r.plan = take("plan"), r.member = take("member"), r.order = take("order");
		r.total = take("total"), r.joined = take("joined"), r.delivery = take("delivery"), r.month = take("month");
		r.shop = take("shop"), r.street = take("street"), r.editor = take("editor"), r.view_url = take("view_url");
		r.unsubscribe_url = take("unsubscribe_url"), r.points_text = take("points");
		r.points = std::atoi(r.points_text.c_str());
		for (const std::string &row : split(take("items"), ';')) {
			std::vector<std::string> f = split(row, '|');
			r.books.push_back({f[0], f[1], f[2], f[3]});
		}
		all.push_back(r);
	}
	return all;
}

int number(const std::string &s, size_t at, size_t n)
{
	int v = 0;
	for (size_t i = at; i < at + n; i++)
		v = v * 10 + (s[i] - '0');
	return v;
}

TemplateString ts(const std::string &s)
{
	return TemplateString(s.data(), s.size());
}

#define NAME(id, text) static const TemplateString id(text, sizeof(text) - 1)
NAME(kGreeting, "GREETING");
NAME(kReader, "READER");
NAME(kLastName, "LAST_NAME");
NAME(kEmail, "EMAIL");
NAME(kCity, "CITY");
NAME(kMember, "MEMBER");
NAME(kOrder, "ORDER");
NAME(kTotal, "TOTAL");
NAME(kJoined, "JOINED");
NAME(kDelivery, "DELIVERY");
NAME(kMonth, "MONTH");
NAME(kShop, "SHOP");
NAME(kStreet, "STREET");
NAME(kEditor, "EDITOR");
NAME(kViewUrl, "VIEW_URL");
NAME(kUnsubscribeUrl, "UNSUBSCRIBE_URL");
NAME(kPoints, "POINTS");
NAME(kGold, "GOLD");
NAME(kNotGold, "NOT_GOLD");
NAME(kManyPoints, "MANY_POINTS");
NAME(kHasCity, "HAS_CITY");
NAME(kItem, "ITEM");
NAME(kTitle, "TITLE");
NAME(kAuthor, "AUTHOR");
NAME(kPrice, "PRICE");
NAME(kLink, "LINK");

void fill_dates(const Recipient &r, TemplateDictionary *d)
{
	static const char *const months[] = {"January", "February", "March", "April", "May", "June", "July", "August", "September",
		"October", "November", "December"};
	char text[40];
	std::snprintf(text, sizeof text, "%d %s %.4s", number(r.joined, 8, 2), months[number(r.joined, 5, 2) - 1], r.joined.c_str());
	d->SetValue(kJoined, text);
	std::snprintf(text, sizeof text, "%.2s.%.2s.%.4s", r.delivery.c_str() + 8, r.delivery.c_str() + 5, r.delivery.c_str());
	d->SetValue(kDelivery, text);
}

void fill(const Recipient &r, TemplateDictionary *d)
{
	d->SetValueWithoutCopy(kGreeting, r.first_name.empty() ? TemplateString("reader") : ts(r.first_name));
	d->SetValueWithoutCopy(kReader, r.first_name.empty() ? TemplateString("our reader") : ts(r.first_name));
	d->SetValueWithoutCopy(kLastName, ts(r.last_name));
	d->SetValueWithoutCopy(kEmail, ts(r.email));
	d->SetValueWithoutCopy(kCity, ts(r.city));
	d->SetValueWithoutCopy(kMember, ts(r.member));
	d->SetValueWithoutCopy(kOrder, ts(r.order));
	d->SetValueWithoutCopy(kTotal, ts(r.total));
	d->SetValueWithoutCopy(kMonth, ts(r.month));
	d->SetValueWithoutCopy(kShop, ts(r.shop));
	d->SetValueWithoutCopy(kStreet, ts(r.street));
	d->SetValueWithoutCopy(kEditor, ts(r.editor));
	d->SetValueWithoutCopy(kViewUrl, ts(r.view_url));
	d->SetValueWithoutCopy(kUnsubscribeUrl, ts(r.unsubscribe_url));
	d->SetValueWithoutCopy(kPoints, ts(r.points_text));
	fill_dates(r, d);
	d->ShowSection(r.plan == "gold" ? kGold : kNotGold);
	if (r.points >= 500)
		d->ShowSection(kManyPoints);
	if (!r.city.empty())
		d->ShowSection(kHasCity);
	for (const Book &b : r.books) {
		TemplateDictionary *item = d->AddSectionDictionary(kItem);
		item->SetValueWithoutCopy(kTitle, ts(b.title));
		item->SetValueWithoutCopy(kAuthor, ts(b.author));
		item->SetValueWithoutCopy(kPrice, ts(b.price));
		item->SetValueWithoutCopy(kLink, ts(b.link));
	}
}

double cpu()
{
	timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	std::ifstream file(argv[1]);
	std::stringstream source;
	source << file.rdbuf();
	const std::vector<Recipient> all = read(argv[2]);
	ctemplate::Template *t = ctemplate::Template::StringToTemplate(source.str(), ctemplate::DO_NOT_STRIP);
	if (t == nullptr || all.empty())
		return 1;
	std::string out;
	const bool print = std::string(argv[3]) == "print";
	const double seconds = print ? 0 : std::atof(argv[3]);
	size_t n = 0;
	double begin = 0, spent = 0;
	for (int round = 0; round == 0 || spent < seconds; round++) {
		if (round == 1)
			begin = cpu();
		for (const Recipient &r : all) {
			TemplateDictionary d("newsletter");
			fill(r, &d);
			out.clear();
			if (!t->Expand(&out, &d))
				return 1;
			if (print)
				std::cout << out << '\0';
		}
		if (print)
			return 0;
		if (round > 0) {
			n += all.size();
			spent = cpu() - begin;
		}
	}
	std::printf("%zu %.6f\n", n, spent);
	return 0;
}
