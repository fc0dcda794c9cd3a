// java Client.java ws://greenhouse.local:8765 indoor prints each reading of a sensor once, also those of a time in which
// the connection or the gateway was down. JDK 11 or newer, nothing else. GATEWAY_TOKEN is for a gateway that wants one.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class Client implements WebSocket.Listener {
    static long last = -1; // Unix ms of the newest reading; -1: none yet
    static int tries = 0;
    final CompletableFuture<String> closed = new CompletableFuture<>();

    public void onOpen(WebSocket socket) {
        tries = 0;
        socket.request(1);
    }

    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer message, boolean whole) { // 16 bytes come whole
        int bits = message.getInt(0); // of the temperature; NaN with its cause if the measurement failed
        last = message.getLong(8);
        if ((bits & 0xFFFFFF00) == 0x7FC00000 && bits != 0x7FC00000)
            System.out.printf("%d failed, cause %d%n", last, bits & 0xFF);
        else
            System.out.printf("%d %.2f %.1f%n", last, message.getFloat(0), message.getFloat(4));
        socket.request(1);
        return null;
    }

    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        closed.complete(reason);
        return null;
    }

    public void onError(WebSocket socket, Throwable error) {
        closed.complete(error.toString());
    }

    public static void main(String[] args) throws InterruptedException {
        String token = System.getenv("GATEWAY_TOKEN");
        for (HttpClient http = HttpClient.newHttpClient();;) {
            Client client = new Client();
            WebSocket.Builder builder = http.newWebSocketBuilder();
            if (token != null)
                builder.header("Authorization", "Bearer " + token);
            URI uri = URI.create(args[0] + "/sensors/" + args[1] + (last < 0 ? "" : "?since=" + (last + 1)));
            builder.subprotocols("readings.v1").buildAsync(uri, client).exceptionally(error -> {
                client.closed.complete(error.toString());
                return null;
            });
            Matcher retry = Pattern.compile("retry_ms=(\\d+)").matcher(client.closed.join()); // of a gateway that restarts
            Thread.sleep(retry.find() ? Long.parseLong(retry.group(1)) : (long) ((Math.min(1 << Math.min(tries++, 6), 60) + Math.random()) * 1000));
        }
    }
}
