#include <stdio.h>

int main(void)
{
	puts("postrider " POSTRIDER_VERSION);
	return 0;
}
