#!/usr/bin/perl
# Reads messages with MIME-tools: for each FILE a line of JSON with its complaints, subject, text and html.
use strict;
use warnings;
use Encode qw(decode);
use JSON::PP;
use MIME::Parser;

my $json = JSON::PP->new->utf8;
for my $file (@ARGV) {
	my $parser = MIME::Parser->new;
	$parser->output_to_core(1);
	$parser->tmp_to_core(1);
	my $entity = $parser->parse_open($file);
	my %said = (file => $file, complaints => [map { "mime-tools: $_" } grep { /error|warning/ } $parser->results->msgs]);
	my $subject = $entity->head->get('Subject', 0) // '';
	chomp $subject;
	$subject =~ s/\r?\n//g;
	$said{subject} = decode('MIME-Header', $subject);
	collect($entity, \%said);
	print $json->encode(\%said), "\n";
}

sub collect {
	my ($entity, $said) = @_;
	my @parts = $entity->parts;
	if (@parts) {
		collect($_, $said) for @parts;
		return;
	}
	my $type = $entity->mime_type;
	return unless $type =~ m{^text/(plain|html)$};
	my $kind = $1 eq 'plain' ? 'text' : 'html';
	return if defined $said->{$kind} || ($entity->head->mime_attr('content-disposition') // '') eq 'attachment';
	$said->{$kind} = decode($entity->head->mime_attr('content-type.charset'), $entity->bodyhandle->as_string);
}
