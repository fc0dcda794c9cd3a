// java Client.java ws://greenhouse.local:8765 indoor prints each reading of a sensor once, also those of a time in which
// the connection or the gateway was down. JDK 11 or newer, nothing else. GATEWAY_TOKEN is for a gateway that wants one.
import java.net.URI;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.util.concurrent.*;
import java.util.regex.*;

class Client implements WebSocket.Listener {
    static final long SILENCE = 40_000_000_000L; // ns without a message, though the gateway pings every 25 s: the line is dead
    static volatile long last = -1; // Unix ms of the newest reading; -1: none yet
    static int tries = 0;
    final CompletableFuture<String> closed = new CompletableFuture<>();
    final ByteBuffer reading = ByteBuffer.allocate(16); // it may come in pieces
    volatile long heard = System.nanoTime();

    CompletionStage<?> next(WebSocket socket) {
        heard = System.nanoTime();
        socket.request(1);
        return null;
    }

    public void onOpen(WebSocket socket) { tries = 0; next(socket); }

    public CompletionStage<?> onPing(WebSocket socket, ByteBuffer message) { return next(socket); } // the JDK answers it

    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer piece, boolean whole) {
        reading.put(piece);
        if (!whole) return next(socket);
        int bits = reading.getInt(0); // of the temperature; NaN with its cause if the measurement failed
        last = reading.getLong(8);
        if ((bits & 0xFFFFFF00) == 0x7FC00000 && bits != 0x7FC00000) System.out.printf("%d failed, cause %d%n", last, bits & 0xFF);
        else System.out.printf("%d %.2f %.1f%n", last, reading.getFloat(0), reading.getFloat(4));
        reading.clear();
        return next(socket);
    }

    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) { closed.complete(reason); return null; }

    public void onError(WebSocket socket, Throwable error) { closed.complete(error.toString()); }

    public static void main(String[] args) throws InterruptedException {
        String token = System.getenv("GATEWAY_TOKEN"), why;
        for (HttpClient http = HttpClient.newHttpClient();;) {
            Client client = new Client();
            WebSocket.Builder builder = http.newWebSocketBuilder().subprotocols("readings.v1");
            if (token != null) builder.header("Authorization", "Bearer " + token);
            URI uri = URI.create(args[0] + "/sensors/" + args[1] + (last < 0 ? "" : "?since=" + (last + 1)));
            var opened = builder.buildAsync(uri, client).whenComplete((socket, error) -> { if (error != null) client.closed.complete(error.toString()); });
            while ((why = client.closed.copy().completeOnTimeout(null, 1, TimeUnit.SECONDS).join()) == null)
                if (System.nanoTime() - client.heard > SILENCE) client.closed.complete("silence");
            opened.thenAccept(WebSocket::abort);
            Matcher retry = Pattern.compile("retry_ms=(\\d+)").matcher(why); // of a gateway that restarts
            Thread.sleep(retry.find() ? Long.parseLong(retry.group(1)) : (long) ((Math.min(1 << Math.min(tries++, 6), 60) + Math.random()) * 1000));
        }
    }
}
