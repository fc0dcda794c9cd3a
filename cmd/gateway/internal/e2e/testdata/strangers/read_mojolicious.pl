# Prints ten readings, by Mojolicious.
use Mojo::Base -strict;
use Mojo::IOLoop;
use Mojo::UserAgent;

my ($ua, $left) = (Mojo::UserAgent->new, 10);
$ua->websocket($ARGV[0] => sub {
    my ($ua, $tx) = @_;
    die "no WebSocket: ", $tx->res->code // 'no answer', "\n" unless $tx->is_websocket;
    $tx->on(finish => sub { Mojo::IOLoop->stop });
    $tx->on(binary => sub {
        my ($tx, $message) = @_;
        say join ' ', unpack 'f> f> q>', $message if $left-- > 0;
        $tx->finish if $left == 0;
    });
});
Mojo::IOLoop->start;
