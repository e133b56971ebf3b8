# Perl's Crypt::JWT with a key set. It fetches nothing: the program does, for each token.
use strict;
use warnings;
use Crypt::JWT qw(decode_jwt);
use HTTP::Tiny;
use JSON::PP;

my $json = JSON::PP->new->utf8->canonical;
if (@ARGV) { print "Crypt::JWT $Crypt::JWT::VERSION\n"; exit }
$| = 1;
while (my $line = <STDIN>) {
    my $question = $json->decode($line);
    my $said = eval {
        my $answer = HTTP::Tiny->new->get($question->{jwks});
        die "the key set answers $answer->{status}\n" unless $answer->{success};
        decode_jwt(
            token      => $question->{token},
            kid_keys   => $json->decode($answer->{content}),
            verify_iss => $question->{issuer},
            verify_aud => $question->{audience},
            verify_exp => 1,
        );
        { accepted => JSON::PP::true, message => '' };
    } || { accepted => JSON::PP::false, message => $@ =~ s/ at \S+ line \d+\.?\s*$//r };
    print $json->encode($said), "\n";
}
