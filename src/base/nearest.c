#include "src/base/nearest.h"

#include <stdio.h>

static int low(char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : (unsigned char)c;
}

static int min3(int a, int b, int c)
{
	int m = a < b ? a : b;
	return m < c ? m : c;
}

/* Edits from a to b (insert, delete, change, swap two neighbours), ASCII case not counted. */
static int edits(struct str a, struct str b)
{
	int rows[3][NEAREST_MAX + 1];
	for (size_t j = 0; j <= b.n; j++)
		rows[0][j] = (int)j;
	for (size_t i = 1; i <= a.n; i++) {
		int *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
		row[0] = (int)i;
		for (size_t j = 1; j <= b.n; j++) {
			int same = low(a.p[i - 1]) == low(b.p[j - 1]);
			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && low(a.p[i - 1]) == low(b.p[j - 2]) &&
				low(a.p[i - 2]) == low(b.p[j - 1]) && above2[j - 2] + 1 < row[j])
				row[j] = above2[j - 2] + 1;
		}
	}
	return rows[a.n % 3][b.n];
}

void nearest_init(struct nearest *n, struct str typed)
{
	*n = (struct nearest){.typed = typed, .distance = (int)(typed.n < 30 ? typed.n : 30) / 3};
}

void nearest_offer(struct nearest *n, struct str name)
{
	if (n->typed.n >= NEAREST_MAX || name.n >= NEAREST_MAX || name.n == 0)
		return;
	int d = edits(n->typed, name);
	if (d > n->distance || (d == n->distance && n->best[0] != '\0') || (size_t)d >= name.n)
		return;
	n->distance = d;
	snprintf(n->best, sizeof n->best, "%.*s", STR_ARG(name));
}
