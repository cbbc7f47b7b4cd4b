/*
 * loadgen: many chat clients in one process, and the check of everything they receive.
 *
 *     loadgen PLAN          stdout: one JSON object per line, progress first, the result last
 *
 * It knows no chat protocol. For each client the plan gives what to send and what to wait for
 * until the client is in its room, and the bytes that stand before and after a payload when it
 * talks. Whatever the protocol, a message is found in what was received by its payload:
 *
 *     ^ sender (8 hex digits) number (8) nanoseconds (16) padding (30) $          64 bytes
 *
 * Rule 1: Every receiver is checked for every sender of its room. The number that comes must be
 *         the next one: a number left out is lost unless it comes later (out of order), a number
 *         that came before is duplicated, a payload from elsewhere is stray.
 *
 * Rule 2: One order for all. Each receiver keeps a running hash of the payloads in the order in
 *         which it saw them; those who saw the same payloads must end with the same hash. Authors
 *         do not see their own, so (unless the server echoes) only silent members are compared.
 *
 * Rule 3: Closed loop (`rate 0`): a talker has `in_flight` messages under way. It says the next
 *         one when the last other member of its room has seen its oldest. Open loop: messages are
 *         due at a fixed rate, whatever the server does, and latency counts from when a message
 *         was due, so that a stall is not hidden by the messages it held back.
 *
 * Rule 4: A client that `stalls` comes in like all others, and then reads nothing. Nothing is
 *         expected of what it receives but that the server closes it; nobody else may notice.
 *
 * Rule 5: A client that `leaves` goes when the talk is over: it says that it sends no more (FIN), and
 *         reads on until the server has closed, too. Where a server tells of that, each of those who
 *         stay must hear of each who leaves exactly once: between `gone_before` and `gone_after`
 *         stands which client it was. Then one of them comes back, and must be let in.
 *
 * Rule 6: Everything ends: connecting, talking, leaving and draining have limits in the plan.
 *
 * Rule 7: A browser masks what it sends (RFC 6455, section 5.3), each frame with a key of its own. Where
 *         a plan has a `head`, so many bytes before a message are the head of its frame, the last four
 *         of them are for the key, and all that stands behind them is masked. What comes is not.
 *
 * One thread, level-triggered epoll, one recv per readable client and turn. Each message is a send
 * of its own, since people do not send twenty lines at once. CPU of the server is read here, at the
 * very edges of what is measured (the way in, the window, the way out), from the CPU-time clock of
 * its process (user and system, all threads, in nanoseconds).
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

enum {
    PAYLOAD = 64,
    KEY = 4,                /* with which a browser masks a frame */
    CARRY = 128,            /* what may be left of one read for the next: a payload, or an answer */
    CHUNK = 256 * 1024,     /* one recv */
    EVENTS = 1024,          /* one turn */
    CONNECTS = 64,          /* one turn: who says nothing for long is taken for somebody with nc */
    SUB_BUCKETS = 1024,     /* of latency: three significant digits */
    BUCKETS = SUB_BUCKETS * 24,
};

/* ── The plan ──────────────────────────────────────────────────────────────────────────────── */

struct text {
    const char *bytes;
    size_t length;
};

struct plan {
    long port, pid, tls, in_flight, rate, echo, at_once;
    long login_ms, quiet_ms, warmup_ms, window_ms, drain_ms, least;
    long rooms, clients;
    struct text gone_before, gone_after;
};

struct step {
    struct text send, expect;
};

/* A range of numbers of one sender that did not come when they were due. */
struct gap {
    uint32_t sender, from, to;
};

struct client {
    int fd;
#ifdef WITH_TLS
    SSL *tls;
#endif
    uint32_t room;
    bool talks, stalls, leaves, joined, leaving, left, lost, wants_write;
    int step, n_steps;
    struct step *steps;
    struct text prefix, suffix;
    long head;      /* how much of `prefix` is the head of a frame; 0: there are no frames */
    long number_at; /* where in `suffix` the number is put once more; -1: nowhere */
    char carry[CARRY];
    size_t carried;
    char *out;
    size_t out_length, out_room;
    uint32_t *next; /* of each talker of the room: the number that is due */
    struct gap *gaps;
    size_t n_gaps, gaps_room;
    uint64_t hash;
    uint8_t *heard; /* of each client: how often it was told that this one is gone */
};

struct talker {
    struct client *client, *watcher;
    uint32_t room, index; /* which talker of its room it is */
    uint32_t sent, seen;
    bool ready;
};

struct room {
    uint32_t n_talkers;
    struct client *last, *before_last;
};

static struct plan plan;
static struct client *clients;
static struct talker *talkers;
static struct talker **ready;
static struct room *rooms;
static uint32_t n_talkers;
static size_t n_ready;

/* ── What is counted ───────────────────────────────────────────────────────────────────────── */

static bool talking, measuring, emptying;
static uint64_t received_bytes, delivered, deliveries, lost, duplicated, out_of_order, stray, sent;
static uint64_t latencies[BUCKETS]; /* microseconds, log-linear */
static long joined, disconnected, leaving, left;
static uint64_t departures; /* heard of by those who stay */
static int epoll;
static clockid_t server_clock;

static int64_t clock_ns(clockid_t clock)
{
    struct timespec at;
    if (clock_gettime(clock, &at) != 0)
        return 0; /* the server is gone; its clients tell */
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static int64_t server_cpu_ns(void) { return plan.pid ? clock_ns(server_clock) : 0; }

static void print_json_string(const char *text, size_t length)
{
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = text[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            putchar(c);
        else
            printf("\\u%04x", c);
    }
    putchar('"');
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    printf("{\"error\":");
    print_json_string(text, strlen(text));
    printf("}\n");
    exit(1);
}

static void *allocate(void *old, size_t count, size_t size)
{
    void *memory = reallocarray(old, count ? count : 1, size);
    if (!memory)
        fail("the load generator has no memory left");
    if (!old)
        memset(memory, 0, count * size);
    return memory;
}

static void progress(const char *phase, double done)
{
    printf("{\"phase\":\"%s\",\"done\":%.3f}\n", phase, done);
    fflush(stdout);
}

/* ── Reading the plan ──────────────────────────────────────────────────────────────────────── */

static char *cursor, *plan_end;

static long number(void)
{
    char *end;
    long value = strtol(cursor, &end, 10);
    if (end == cursor || end >= plan_end)
        fail("the plan has no number where one belongs");
    cursor = end + 1; /* the blank or newline behind it */
    return value;
}

static long setting(const char *name)
{
    size_t length = strlen(name);
    if (strncmp(cursor, name, length) != 0 || cursor[length] != ' ')
        fail("the plan lacks `%s`", name);
    cursor += length + 1;
    return number();
}

static struct text text(long length)
{
    struct text taken = {cursor, length};
    if (length < 0 || length > plan_end - cursor)
        fail("the plan is cut short");
    cursor += length;
    return taken;
}

static struct text measured_text(const char *name) { return text(setting(name)); }

static void read_plan(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("cannot read %s: %s", path, strerror(errno));
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    cursor = allocate(NULL, size + 1, 1);
    plan_end = cursor + fread(cursor, 1, size, file);
    fclose(file);

    plan.port = setting("port");
    plan.pid = setting("pid");
    plan.tls = setting("tls");
    plan.in_flight = setting("in_flight");
    plan.rate = setting("rate");
    plan.echo = setting("echo");
    plan.at_once = setting("at_once");
    plan.login_ms = setting("login_ms");
    plan.quiet_ms = setting("quiet_ms");
    plan.warmup_ms = setting("warmup_ms");
    plan.window_ms = setting("window_ms");
    plan.drain_ms = setting("drain_ms");
    plan.least = setting("least");
    plan.gone_before = measured_text("gone_before");
    plan.gone_after = measured_text("gone_after");
    if (plan.gone_before.length + plan.gone_after.length + 10 > CARRY)
        fail("a departure is told in %d bytes", CARRY);
    plan.rooms = setting("rooms");
    plan.clients = setting("clients");
    rooms = allocate(NULL, plan.rooms, sizeof *rooms);
    clients = allocate(NULL, plan.clients, sizeof *clients);
    talkers = allocate(NULL, plan.clients, sizeof *talkers);
    ready = allocate(NULL, plan.clients, sizeof *ready);
    for (struct client *client = clients; client < clients + plan.clients; client++) {
        client->fd = -1;
        client->room = number();
        client->talks = number();
        client->stalls = number();
        client->leaves = number();
        client->n_steps = number();
        long before = number(), after = number();
        client->head = number();
        if (client->head < 0 || client->head > before || (client->head && client->head < KEY))
            fail("the head of a frame is a part of what stands before a message");
        client->prefix = text(before);
        client->suffix = text(after);
        client->steps = allocate(NULL, client->n_steps, sizeof *client->steps);
        for (int i = 0; i < client->n_steps; i++) {
            long send = number(), expect = number();
            client->steps[i].send = text(send);
            client->steps[i].expect = text(expect);
            if (expect <= 0 || expect > CARRY)
                fail("an expected answer has 1 to %d bytes", CARRY);
        }
        const char *mark = memmem(client->suffix.bytes, after, "########", 8);
        client->number_at = mark ? mark - client->suffix.bytes : -1;

        struct room *room = &rooms[client->room];
        room->before_last = room->last;
        room->last = client;
        if (client->talks) {
            struct talker *talker = &talkers[n_talkers++];
            talker->client = client;
            talker->room = client->room;
            talker->index = room->n_talkers++;
        }
    }
    if (!n_talkers)
        plan.rate = 0; /* nobody to be paced: the window is silence */
    for (long i = 0; i < plan.clients; i++)
        clients[i].next = allocate(NULL, rooms[clients[i].room].n_talkers, sizeof(uint32_t));
    for (uint32_t i = 0; i < n_talkers; i++) {
        struct room *room = &rooms[talkers[i].room];
        talkers[i].watcher = room->last != talkers[i].client ? room->last : room->before_last;
    }
}

/* ── Sockets, with TLS or without ──────────────────────────────────────────────────────────── */

/* As recv and send; errno is EAGAIN when it has to wait, for the direction of its name. */
#ifdef WITH_TLS
static SSL_CTX *tls_context;

static void start_tls(struct client *client)
{
    if (!tls_context) {
        tls_context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(tls_context,
                         SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    client->tls = SSL_new(tls_context); /* certificates are not what is measured: none is checked */
    SSL_set_fd(client->tls, client->fd);
    SSL_set_connect_state(client->tls);
}

static ssize_t tls_result(struct client *client, int n, int awaited)
{
    if (n > 0)
        return n;
    int error = SSL_get_error(client->tls, n);
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (error == awaited)
        errno = EAGAIN;
    else if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        errno = EALREADY; /* the handshake waits for the other direction, which goes on with it */
    else
        errno = EPROTO;
    return -1;
}

static ssize_t take(struct client *client, char *bytes, size_t room)
{
    if (!client->tls)
        return recv(client->fd, bytes, room, 0);
    return tls_result(client, SSL_read(client->tls, bytes, room), SSL_ERROR_WANT_READ);
}

static ssize_t give(struct client *client, const char *bytes, size_t length)
{
    if (!client->tls)
        return send(client->fd, bytes, length, MSG_NOSIGNAL);
    return tls_result(client, SSL_write(client->tls, bytes, length), SSL_ERROR_WANT_WRITE);
}
#else
static void start_tls(struct client *client)
{
    (void)client;
    fail("this load generator was compiled without TLS");
}

static ssize_t take(struct client *client, char *bytes, size_t room)
{
    return recv(client->fd, bytes, room, 0);
}

static ssize_t give(struct client *client, const char *bytes, size_t length)
{
    return send(client->fd, bytes, length, MSG_NOSIGNAL);
}
#endif

/* ── Sending ───────────────────────────────────────────────────────────────────────────────── */

static void watch(struct client *client, bool write)
{
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = client};
    client->wants_write = write;
    epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void lose(struct client *client)
{
    if (client->lost || client->left)
        return;
    close(client->fd);
    if (client->leaving) {
        client->left = true;
        left++;
    } else {
        client->lost = true;
        disconnected++;
    }
}

static void flush(struct client *client)
{
    if (client->lost)
        return;
    ssize_t n = 0;
    bool wait = false;
    if (client->out_length)
        n = give(client, client->out, client->out_length);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EALREADY) {
            lose(client);
            return;
        }
        wait = errno != EALREADY;
        n = 0;
    } else {
        wait = (size_t)n < client->out_length;
    }
    client->out_length -= n;
    if (client->out_length)
        memmove(client->out, client->out + n, client->out_length);
    if (client->wants_write != wait)
        watch(client, wait);
}

static char *extend(struct client *client, size_t length)
{
    if (client->out_length + length > client->out_room) {
        client->out_room = 2 * (client->out_length + length);
        client->out = allocate(client->out, client->out_room, 1);
    }
    client->out_length += length;
    return client->out + client->out_length - length;
}

static void put_hex(char *at, uint64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value >>= 4)
        at[i] = "0123456789abcdef"[value & 15];
}

/* Mask a frame whose head has room for the key, as its last bytes. */
static void mask(char *frame, size_t head, size_t length)
{
    static uint32_t state = 2463534242;
    state ^= state << 13; /* Marsaglia's xorshift: nobody is to be kept from guessing the next one */
    state ^= state >> 17;
    state ^= state << 5;
    char *key = frame + head - KEY;
    memcpy(key, &state, KEY);
    for (size_t i = head; i < length; i++)
        frame[i] ^= key[(i - head) % KEY];
}

static void say(struct talker *talker, int64_t stamp)
{
    struct client *client = talker->client;
    if (client->lost)
        return;
    const struct text *prefix = &client->prefix, *suffix = &client->suffix;
    size_t length = prefix->length + PAYLOAD + suffix->length;
    char *begin = extend(client, length), *at = begin;
    memcpy(at, prefix->bytes, prefix->length);
    at += prefix->length;
    memset(at, '.', PAYLOAD);
    at[0] = '^';
    put_hex(at + 1, talker - talkers, 8);
    put_hex(at + 9, talker->sent, 8);
    put_hex(at + 17, stamp, 16);
    at[PAYLOAD - 1] = '$';
    memcpy(at + PAYLOAD, suffix->bytes, suffix->length);
    if (client->number_at >= 0)
        put_hex(at + PAYLOAD + client->number_at, talker->sent, 8);
    if (client->head)
        mask(begin, client->head, length);
    talker->sent++;
    sent++;
}

static void fill_window(struct talker *talker)
{
    while (!talker->client->lost && talker->sent - talker->seen < plan.in_flight) {
        say(talker, now_ns());
        flush(talker->client);
    }
}

/* ── Receiving ─────────────────────────────────────────────────────────────────────────────── */

/* Eight lower-case hex digits, all at once; the first is the highest. */
static uint32_t hex8(const char *at)
{
    uint64_t x;
    memcpy(&x, at, 8);
    x = (x & 0x0f0f0f0f0f0f0f0fULL) + 9 * ((x >> 6) & 0x0101010101010101ULL);
    x = be64toh(x);
    x = (x | x >> 4) & 0x00ff00ff00ff00ffULL;
    x = (x | x >> 8) & 0x0000ffff0000ffffULL;
    return x | x >> 16;
}

static void record(int64_t ns)
{
    uint64_t us = ns > 0 ? ns / 1000 : 0;
    int shift = us < 2 * SUB_BUCKETS ? 0 : 63 - __builtin_clzll(us) - 10;
    uint64_t bucket = (uint64_t)SUB_BUCKETS * shift + (us >> shift);
    latencies[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

/* A number that was not due: later ones are missing, or it comes late, or once more. */
static void receive_unexpected(struct client *client, uint32_t sender, uint32_t *next, uint32_t seq)
{
    if (seq > *next) {
        if (client->n_gaps == client->gaps_room) {
            client->gaps_room = 2 * client->gaps_room + 8;
            client->gaps = allocate(client->gaps, client->gaps_room, sizeof *client->gaps);
        }
        client->gaps[client->n_gaps++] = (struct gap){sender, *next, seq};
        *next = seq + 1;
        return;
    }
    for (size_t i = 0; i < client->n_gaps; i++) {
        struct gap gap = client->gaps[i];
        if (gap.sender != sender || seq < gap.from || seq >= gap.to)
            continue;
        client->gaps[i] = client->gaps[--client->n_gaps];
        if (client->n_gaps + 2 > client->gaps_room) {
            client->gaps_room = 2 * client->gaps_room + 8;
            client->gaps = allocate(client->gaps, client->gaps_room, sizeof *client->gaps);
        }
        if (gap.from < seq)
            client->gaps[client->n_gaps++] = (struct gap){sender, gap.from, seq};
        if (seq + 1 < gap.to)
            client->gaps[client->n_gaps++] = (struct gap){sender, seq + 1, gap.to};
        out_of_order++;
        return;
    }
    duplicated++;
}

static void receive_payload(struct client *client, const char *payload, int64_t now)
{
    uint32_t sender = hex8(payload + 1), seq = hex8(payload + 9);
    int64_t stamp = (int64_t)hex8(payload + 17) << 32 | hex8(payload + 25);
    struct talker *talker = &talkers[sender];
    if (sender >= n_talkers || talker->room != client->room || seq >= talker->sent ||
        (talker->client == client && !plan.echo)) {
        stray++;
        return;
    }
    delivered++;
    uint32_t *next = &client->next[talker->index];
    if (seq == *next)
        ++*next;
    else
        receive_unexpected(client, sender, next, seq);
    client->hash = (client->hash ^ ((uint64_t)sender << 32 | seq)) * 0x9e3779b97f4a7c15ULL;
    client->hash ^= client->hash >> 29;
    if (talker->watcher == client && seq >= talker->seen) {
        talker->seen = seq + 1;
        if (!talker->ready) {
            talker->ready = true;
            ready[n_ready++] = talker;
        }
    }
    if (measuring) {
        deliveries++;
        record(now - stamp);
    }
}

static void keep(struct client *client, const char *from, size_t length)
{
    memcpy(client->carry, from, length);
    client->carried = length;
}

/* Count which departures the data tells of; where it ends in the middle of one, keep that. */
static void receive_departures(struct client *client, const char *data, size_t length)
{
    const struct text *before = &plan.gone_before, *after = &plan.gone_after;
    const char *at = data, *end = data + length;
    while ((at = memmem(at, end - at, before->bytes, before->length))) {
        const char *digit = at + before->length;
        long who = 0;
        while (digit < end && *digit >= '0' && *digit <= '9' && who < 100000000)
            who = 10 * who + (*digit++ - '0');
        if (digit + after->length > end)
            break;
        if (memcmp(digit, after->bytes, after->length) == 0) {
            bool known = who < plan.clients && clients[who].room == client->room;
            if (!known || !clients[who].leaving)
                stray++;
            else if (client->heard[who] == 1)
                duplicated++;
            else
                departures += ++client->heard[who];
            at = digit + after->length;
        } else {
            at++;
        }
    }
    size_t most = before->length ? before->length - 1 : 0;
    if (!at) /* the beginning of one may be at the end */
        at = length < most ? data : end - most;
    keep(client, at, end - at);
}

static void begin_step(struct client *client)
{
    struct text send = client->steps[client->step].send;
    memcpy(extend(client, send.length), send.bytes, send.length);
    flush(client);
}

static void receive_answer(struct client *client, const char *data, size_t length)
{
    struct text expect = client->steps[client->step].expect;
    if (memmem(data, length, expect.bytes, expect.length)) {
        client->carried = 0;
        if (++client->step < client->n_steps) {
            begin_step(client);
        } else {
            client->joined = true;
            joined++;
        }
        return;
    }
    size_t kept = length < CARRY ? length : CARRY - 1;
    keep(client, data + length - kept, kept);
}

static void receive(struct client *client)
{
    static char buffer[CARRY + CHUNK];
    char *data = buffer + CARRY - client->carried;
    memcpy(data, client->carry, client->carried);
    ssize_t n = take(client, buffer + CARRY, CHUNK);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EALREADY))
            lose(client);
        else if (client->out_length)
            flush(client); /* what waited for the handshake */
        return;
    }
    received_bytes += n;
    size_t length = client->carried + n;
    if (!client->joined) {
        receive_answer(client, data, length);
        return;
    }
    int64_t now = now_ns();
    client->carried = 0;
    if (emptying) {
        if (client->heard)
            receive_departures(client, data, length);
        return;
    }
    const char *at = data, *end = data + length;
    while ((at = memchr(at, '^', end - at))) {
        if (end - at < PAYLOAD) {
            keep(client, at, end - at);
            return;
        }
        if (at[PAYLOAD - 1] == '$') {
            receive_payload(client, at, now);
            at += PAYLOAD;
        } else {
            at++;
        }
    }
}

/* One turn: wait, receive what there is, then let those talk whose messages were seen. */
static void turn(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct client *client = events[i].data.ptr;
        if (!client) /* the timer of the open loop: it has done its work by waking us */
            continue;
        if (!client->lost && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
            receive(client);
        if (!client->lost && !client->left && events[i].events & EPOLLOUT)
            flush(client);
    }
    for (size_t i = 0; i < n_ready; i++) {
        ready[i]->ready = false;
        if (talking && !plan.rate)
            fill_window(ready[i]);
    }
    n_ready = 0;
}

/* ── The phases ────────────────────────────────────────────────────────────────────────────── */

static void connect_client(struct client *client)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(plan.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        fail("cannot open one more socket: %s", strerror(errno));
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* Reset at the end: the next run shall not find all ports waiting for stray packets. */
    struct linger reset = {1, 0};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (client->stalls) {
        /* Segments as on Ethernet. With those of loopback, the kernel itself would hold some
         * megabytes for a client, and the server would not notice for a long time. */
        int segment = 1448;
        setsockopt(client->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    }
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0 &&
        errno != EINPROGRESS)
        fail("cannot connect to port %ld: %s", plan.port, strerror(errno));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
    client->wants_write = true;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        fail("cannot watch one more socket: %s", strerror(errno));
    if (plan.tls)
        start_tls(client);
    /* The first step's bytes leave when the connection is there. */
    struct text send = client->steps[0].send;
    memcpy(extend(client, send.length), send.bytes, send.length);
}

/* Receive until nothing has come for `quiet_ms`. */
static void wait_for_quiet(int64_t limit)
{
    int64_t since = now_ns(), now;
    uint64_t before = received_bytes;
    while ((now = now_ns()) < limit && now - since < plan.quiet_ms * 1000000) {
        turn(5);
        if (received_bytes != before) {
            before = received_bytes;
            since = now;
        }
    }
}

/* These into their rooms, `at_once` at a time; then wait until the joins are told to all. */
static void log_in(struct client *first, long count)
{
    int64_t limit = now_ns() + plan.login_ms * 1000000, told = 0;
    long begun = 0;
    for (joined = 0; joined < count;) {
        long begin = begun;
        while (begun < count && begun - joined < plan.at_once && begun - begin < CONNECTS)
            connect_client(&first[begun++]);
        turn(begun == begin ? 50 : 0);
        int64_t now = now_ns();
        if (disconnected || now > limit) {
            struct client *stuck = first;
            while (stuck < first + begun - 1 && (stuck->joined || stuck->fd < 0))
                stuck++;
            for (struct client *client = first; client < first + begun; client++)
                if (client->lost)
                    stuck = client;
            size_t shown = stuck->carried < 100 ? stuck->carried : 100;
            fail("%ld of %ld clients were in their rooms when %s%s%.*s", joined, count,
                 disconnected ? "one was disconnected" : "the time was over",
                 shown ? "; the last that one of the others read: " : "", (int)shown,
                 stuck->carry + stuck->carried - shown);
        }
        if (now - told > 100000000) {
            told = now;
            progress("joining", (double)joined / count);
        }
    }
    wait_for_quiet(limit);
}

static void set_timer(int timer, int64_t at)
{
    struct itimerspec when = {.it_value = {at / 1000000000, at % 1000000000}};
    uint64_t expired;
    /* Reading clears what has expired; when nothing has, there is nothing to clear. */
    if (read(timer, &expired, sizeof expired) < 0 && errno != EAGAIN)
        fail("cannot read the timer: %s", strerror(errno));
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static bool all_have_said(uint32_t least)
{
    for (uint32_t i = 0; i < n_talkers; i++)
        if (talkers[i].sent < least && !talkers[i].client->lost)
            return false;
    return true;
}

/* Talk until `until`, and until everybody has said `least`, if that takes longer; in the open loop,
 * `due` is when the next message is. */
static void talk(int timer, int64_t until, uint32_t least, int64_t *due, uint32_t *next_talker,
                 const char *phase)
{
    int64_t begin = now_ns(), limit = begin + plan.login_ms * 1000000, told = 0, now;
    while ((now = now_ns()) < until || (now < limit && !all_have_said(least))) {
        while (plan.rate && *due <= now) {
            struct talker *talker = &talkers[(*next_talker)++ % n_talkers];
            say(talker, *due);
            flush(talker->client);
            *due += 1000000000 / plan.rate;
            set_timer(timer, *due);
        }
        int64_t left_ms = (until - now) / 1000000 + 1;
        turn(left_ms > 0 && left_ms < 20 ? left_ms : 20);
        if (now - told > 100000000) {
            told = now;
            progress(phase, now < until ? (double)(now - begin) / (until - begin) : 1);
        }
    }
}

/* From now on, read nothing from those who stall. */
static void stall(void)
{
    for (struct client *client = clients; client < clients + plan.clients; client++)
        if (client->stalls)
            epoll_ctl(epoll, EPOLL_CTL_DEL, client->fd, NULL);
}

/* How many of those who stalled were closed: their ends stand behind what they did not read. */
static long count_closed(int64_t limit)
{
    static char unread[CHUNK];
    long closed = 0;
    for (struct client *client = clients; client < clients + plan.clients; client++) {
        ssize_t n = client->stalls ? 1 : -1;
        while (n > 0 && now_ns() < limit) {
            n = take(client, unread, sizeof unread);
            struct pollfd more = {client->fd, POLLIN, 0};
            if (n < 0 && errno == EAGAIN && poll(&more, 1, 1000) > 0)
                n = 1;
        }
        closed += client->stalls && (n == 0 || (n < 0 && errno == ECONNRESET));
    }
    return closed;
}

/* How many deliveries have not come (yet). */
static uint64_t missing(void)
{
    uint64_t count = 0;
    for (struct client *client = clients; client < clients + plan.clients; client++) {
        if (client->stalls || !rooms[client->room].n_talkers)
            continue;
        for (size_t i = 0; i < client->n_gaps; i++)
            count += client->gaps[i].to - client->gaps[i].from;
        for (uint32_t i = 0; i < n_talkers; i++)
            if (talkers[i].room == client->room && (talkers[i].client != client || plan.echo))
                count += talkers[i].sent - client->next[talkers[i].index];
    }
    return count;
}

/* All who leave, `at_once` at a time; then wait until those who stay know. */
static void empty(void)
{
    int64_t limit = now_ns() + plan.login_ms * 1000000, told = 0;
    long leavers = 0;
    uint64_t due = 0;
    uint32_t *staying = allocate(NULL, plan.rooms, sizeof *staying);
    bool told_of = plan.gone_before.length > 0;
    for (struct client *client = clients; client < clients + plan.clients; client++) {
        leavers += client->leaves;
        staying[client->room] += !client->leaves;
    }
    if (!leavers)
        return;
    for (struct client *client = clients; client < clients + plan.clients; client++) {
        client->carried = 0;
        if (!client->leaves && told_of)
            client->heard = allocate(NULL, plan.clients, sizeof *client->heard);
        if (client->leaves && told_of)
            due += staying[client->room];
    }
    emptying = true;
    struct client *next = clients;
    while (left < leavers || departures < due) {
        for (; next < clients + plan.clients && leaving - left < plan.at_once; next++) {
            if (!next->leaves || next->lost)
                continue;
            next->leaving = true;
            leaving++;
            shutdown(next->fd, SHUT_WR);
        }
        turn(50);
        int64_t now = now_ns();
        if (now > limit && left < leavers)
            fail("%ld of %ld clients had left when the time was over", left, leavers);
        if (now > limit || disconnected)
            break;
        if (now - told > 100000000) {
            told = now;
            progress("leaving", (double)left / leavers);
        }
    }
    wait_for_quiet(limit + plan.drain_ms * 1000000);
    emptying = false;
    delivered += departures;
    lost += due - departures;
}

/* One who has left comes again: the server is still there, and lets people in. */
static void come_back(void)
{
    for (struct client *client = clients; client < clients + plan.clients; client++) {
        if (!client->left)
            continue;
        client->step = 0;
        client->carried = 0;
        client->joined = client->leaving = client->left = false;
        log_in(client, 1);
        return;
    }
}

static long disagreeing(void)
{
    long count = 0;
    uint64_t *hashes = allocate(NULL, plan.rooms, sizeof *hashes);
    bool *known = allocate(NULL, plan.rooms, sizeof *known);
    for (struct client *client = clients; client < clients + plan.clients; client++) {
        if (client->stalls || (client->talks && !plan.echo))
            continue;
        if (!known[client->room]) {
            known[client->room] = true;
            hashes[client->room] = client->hash;
        } else if (hashes[client->room] != client->hash) {
            count++;
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        fail("usage: loadgen PLAN");
    read_plan(argv[1]);
    if (plan.pid && clock_getcpuclockid(plan.pid, &server_clock) != 0)
        fail("there is no process %ld", plan.pid);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);

    int64_t login_began = now_ns(), login_cpu = server_cpu_ns();
    log_in(clients, plan.clients);
    int64_t login_ns = now_ns() - login_began - plan.quiet_ms * 1000000;
    login_cpu = server_cpu_ns() - login_cpu;
    progress("joined", 1);

    stall();
    int64_t due = now_ns();
    uint32_t next_talker = 0;
    talking = true;
    if (!plan.rate)
        for (uint32_t i = 0; i < n_talkers; i++)
            fill_window(&talkers[i]);
    talk(timer, now_ns() + plan.warmup_ms * 1000000, 0, &due, &next_talker, "warming up");

    progress("begin", 0);
    measuring = true;
    uint64_t sent_before = sent, bytes_before = received_bytes;
    int64_t own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), cpu = server_cpu_ns(), began = now_ns();
    talk(timer, began + plan.window_ms * 1000000, plan.least, &due, &next_talker, "measuring");
    int64_t window_ns = now_ns() - began;
    cpu = server_cpu_ns() - cpu;
    own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_cpu;
    measuring = talking = false;
    set_timer(timer, 0); /* off */
    uint64_t window_sent = sent - sent_before, window_bytes = received_bytes - bytes_before;
    progress("end", 1);

    int64_t limit = now_ns() + plan.drain_ms * 1000000, looked = 0;
    lost = missing();
    while (lost && now_ns() < limit) {
        turn(20);
        if (now_ns() - looked > 20000000) {
            looked = now_ns();
            lost = missing();
        }
    }
    wait_for_quiet(limit + plan.drain_ms * 1000000); /* what comes once too often comes last */
    lost = missing();
    long closed = count_closed(now_ns() + plan.drain_ms * 1000000);
    long order = disagreeing();

    int64_t leave_cpu = server_cpu_ns();
    empty();
    leave_cpu = server_cpu_ns() - leave_cpu;
    come_back();

    printf("{\"login_ns\":%ld,\"login_cpu_ns\":%ld,\"left\":%ld,\"leave_cpu_ns\":%ld,"
           "\"window_ns\":%ld,\"server_cpu_ns\":%ld,"
           "\"generator_cpu_ns\":%ld,\"sent\":%lu,\"deliveries\":%lu,\"bytes\":%lu,"
           "\"delivered\":%lu,\"lost\":%lu,\"duplicated\":%lu,\"out_of_order\":%lu,\"stray\":%lu,"
           "\"disagreeing\":%ld,\"disconnected\":%ld,\"closed\":%ld,\"latencies_us\":[",
           (long)login_ns, (long)login_cpu, left, (long)leave_cpu, (long)window_ns, (long)cpu, (long)own_cpu, window_sent,
           deliveries, window_bytes, delivered, lost, duplicated, out_of_order, stray,
           order, disconnected, closed);
    const char *comma = "";
    for (uint64_t bucket = 0; bucket < BUCKETS; bucket++) {
        if (!latencies[bucket])
            continue;
        uint64_t shift = bucket < 2 * SUB_BUCKETS ? 0 : bucket / SUB_BUCKETS - 1;
        printf("%s[%lu,%lu]", comma, (bucket - shift * SUB_BUCKETS) << shift, latencies[bucket]);
        comma = ",";
    }
    printf("]}\n");
    return 0;
}
