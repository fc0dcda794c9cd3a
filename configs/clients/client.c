/* ./client greenhouse.local 8765 indoor prints each reading of a sensor once, also those of a time in which the connection or
 * the gateway was down. apt install libwebsockets-dev; cc -o client client.c -lwebsockets. GATEWAY_TOKEN: where it wants one. */
#include <libwebsockets.h>
#include <string.h>

static struct lws_context *context;
static const char *host, *sensor;
static int port, tries;
static long long last = -1; /* Unix ms of the newest reading; -1: none yet */
static lws_sorted_usec_list_t retry;

static void connect_again(lws_sorted_usec_list_t *unused) {
	char path[128], names[256] = "readings.v1";
	const char *token = getenv("GATEWAY_TOKEN");
	snprintf(path, sizeof path, last < 0 ? "/sensors/%s" : "/sensors/%s?since=%lld", sensor, last + 1);
	if (token) snprintf(names, sizeof names, "readings.v1, gateway.token.%s", token);
	struct lws_client_connect_info info = {.context = context, .address = host, .host = host, .port = port, .path = path,
		.protocol = names, .local_protocol_name = "readings.v1"};
	lws_client_connect_via_info(&info); /* a failure comes to the callback */
}

static void come_back(long long ms) { lws_sul_schedule(context, 0, &retry, connect_again, ms * LWS_US_PER_MS); }

static uint64_t number(const unsigned char *p, int bytes) { /* in network byte order */
	uint64_t n = 0;
	while (bytes--) n = n << 8 | *p++;
	return n;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
	static long long again; /* ms, as a gateway that restarts says */
	if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED) tries = 0;
	if (reason == LWS_CALLBACK_CLIENT_RECEIVE && lws_frame_is_binary(wsi) && len == 16) {
		uint32_t bits[2] = {number(in, 4), number((unsigned char *)in + 4, 4)};
		float value[2];
		memcpy(value, bits, sizeof value);
		last = number((unsigned char *)in + 8, 8);
		if ((bits[0] & ~0xFFu) == 0x7FC00000 && bits[0] != 0x7FC00000) printf("%lld failed, cause %u\n", last, bits[0] & 0xFF);
		else printf("%lld %.2f %.1f\n", last, value[0], value[1]);
		fflush(stdout);
	}
	if (reason == LWS_CALLBACK_WS_PEER_INITIATED_CLOSE && len > 2) sscanf((char *)in + 2, "Service restart; retry_ms=%lld", &again);
	if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR || reason == LWS_CALLBACK_CLIENT_CLOSED) {
		come_back(again ? again : 1000LL * (tries < 6 ? 1 << tries : 60) + rand() % 1000);
		tries++, again = 0;
	}
	return 0;
}

int main(int argc, char **argv) {
	static const struct lws_protocols protocols[] = {{"readings.v1", callback, 0, 16, 0, NULL, 0}, {0}};
	static const lws_retry_bo_t alive = {.secs_since_valid_ping = 20, .secs_since_valid_hangup = 40}; /* or the line is dead */
	struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols, .retry_and_idle_policy = &alive};
	lws_set_log_level(LLL_ERR, NULL);
	if (argc != 4 || !(context = lws_create_context(&info))) return 2;
	host = argv[1], port = atoi(argv[2]), sensor = argv[3];
	come_back(1);
	while (lws_service(context, 0) >= 0) {}
}
