#include "src/db/attrs.h"

static void put_number(struct buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_putc(out, (char)(v | 0x80));
	buf_putc(out, (char)v);
}

/* At most five bytes: ids and lengths are 32 bit. */
static bool take_number(struct str *s, uint32_t *out)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 5 && i < s->n; i++) {
		unsigned char c = (unsigned char)s->p[i];
		v |= (uint64_t)(c & 0x7f) << (7 * i);
		if (c & 0x80)
			continue;
		if (v > UINT32_MAX)
			return false;
		s->p += i + 1;
		s->n -= i + 1;
		*out = (uint32_t)v;
		return true;
	}
	return false;
}

void attrs_put(struct buf *out, uint32_t id, struct str value)
{
	if (value.n > UINT32_MAX) {
		out->failed = true;
		return;
	}
	put_number(out, id);
	put_number(out, value.n);
	buf_str(out, value);
}

struct attr_iter attrs_begin(struct str packed)
{
	return (struct attr_iter){.rest = packed};
}

bool attrs_next(struct attr_iter *i)
{
	uint32_t id, len;
	if (!take_number(&i->rest, &id) || !take_number(&i->rest, &len) || len > i->rest.n || id <= i->id) {
		i->rest.n = 0;
		return false;
	}
	i->id = id;
	i->value = str_n(i->rest.p, len);
	i->rest.p += len;
	i->rest.n -= len;
	return true;
}

struct str attrs_get(struct str packed, uint32_t id)
{
	for (struct attr_iter i = attrs_begin(packed); attrs_next(&i);) {
		if (i.id == id)
			return i.value;
		if (i.id > id)
			break;
	}
	return (struct str){"", 0};
}

bool attrs_merge(struct buf *out, struct str base, struct str over)
{
	struct attr_iter b = attrs_begin(base), o = attrs_begin(over);
	bool in_b = attrs_next(&b), in_o = attrs_next(&o), changed = false;
	while (in_b || in_o) {
		if (in_b && (!in_o || b.id < o.id)) {
			attrs_put(out, b.id, b.value);
			in_b = attrs_next(&b);
			continue;
		}
		bool both = in_b && b.id == o.id;
		changed |= !str_eq(both ? b.value : (struct str){"", 0}, o.value);
		if (o.value.n != 0)
			attrs_put(out, o.id, o.value);
		if (both)
			in_b = attrs_next(&b);
		in_o = attrs_next(&o);
	}
	return changed;
}

bool attrs_valid(struct str packed)
{
	size_t used = 0;
	for (struct attr_iter i = attrs_begin(packed); attrs_next(&i);)
		used = packed.n - i.rest.n;
	return used == packed.n;
}
