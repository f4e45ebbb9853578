#!/usr/bin/perl
# The newsletter by Text::Xslate, from data that is in Perl's own structures before.
# usage: xslate.pl TEMPLATE RECIPIENTS SECONDS|print
use strict;
use warnings;
use Text::Xslate;
use Time::HiRes qw(clock_gettime CLOCK_PROCESS_CPUTIME_ID);

my ($path, $data, $how) = @ARGV;
my @months = qw(January February March April May June July August September October November December);
my ($dir, $file) = $path =~ m{^(.*)/([^/]+)$};
my $tx = Text::Xslate->new(
	path => [$dir], cache_dir => "$dir/xslate", cache => 2, type => 'html',
	function => {
		long_date => sub { sprintf '%d %s %s', substr($_[0], 8, 2), $months[substr($_[0], 5, 2) - 1], substr($_[0], 0, 4) },
		short_date => sub { join '.', substr($_[0], 8, 2), substr($_[0], 5, 2), substr($_[0], 0, 4) },
	});

open my $in, '<:encoding(UTF-8)', $data or die "$data: $!";
chomp(my $head = <$in>);
my @names = split /\t/, $head;
my @all;
while (my $line = <$in>) {
	chomp $line;
	my %r;
	@r{@names} = split /\t/, $line, -1;
	$r{items} = [map { my %i; @i{qw(title author price link)} = split /\|/; \%i } split /;/, $r{items}];
	push @all, \%r;
}

binmode STDOUT, ':encoding(UTF-8)';
if ($how eq 'print') {
	print $tx->render($file, $_), "\0" for @all;
	exit;
}
$tx->render($file, $_) for @all;
my ($n, $spent, $begin) = (0, 0, clock_gettime(CLOCK_PROCESS_CPUTIME_ID));
while ($spent < $how) {
	$tx->render($file, $_) for @all;
	$n += @all;
	$spent = clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $begin;
}
printf "%d %.6f\n", $n, $spent;
