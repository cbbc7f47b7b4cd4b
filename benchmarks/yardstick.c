/*
 * yardstick: what the kernel alone costs. The least that a chat server can do, in bare C.
 *
 *     yardstick             stdout: `yardstick: listening on 127.0.0.1:PORT`
 *
 * One thread, one epoll loop. A turn reads from every client that has something to say, joins
 * what was said in a room into one batch, and sends each member of the room its batch with one
 * system call; an author's own lines are left out of its copy. Nothing is checked, bounded or
 * remembered: no names but the ones that are printed, no history, no limits, no commands but
 * `/nick NAME` and `/join ROOM` (one room each). It is no server for people.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { EVENTS = 1024, CHUNK = 64 * 1024, NAME = 32, PIECES = 1024 };

struct room;

struct client {
    int fd;
    char nick[NAME];
    struct room *room;
    bool spoke; /* in this turn */
    char *partial;
    size_t partial_length;
    char *backlog;
    size_t backlog_length;
};

/* One line of the batch, for its author's copy. */
struct span {
    struct client *author;
    size_t begin, end;
};

struct room {
    char name[NAME];
    struct client **members;
    size_t n_members, members_room;
    char *batch;
    size_t batch_length, batch_room;
    struct span *spans;
    size_t n_spans, spans_room;
    struct room *next;
};

static struct room *all_rooms;
static struct room **dirty; /* rooms with a batch, in this turn */
static size_t n_dirty, dirty_room;
static int epoll;

static void *grow(void *old, size_t *have, size_t need, size_t size)
{
    if (need <= *have)
        return old;
    *have = 2 * need;
    void *memory = reallocarray(old, *have, size);
    if (!memory)
        abort();
    return memory;
}

static void watch(struct client *client, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    epoll_ctl(epoll, operation, client->fd, &event);
}

static void keep_backlog(struct client *client, const struct iovec *pieces, int n, size_t skip)
{
    if (!client->backlog_length)
        watch(client, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    for (int i = 0; i < n; i++) {
        if (skip >= pieces[i].iov_len) {
            skip -= pieces[i].iov_len;
            continue;
        }
        size_t length = pieces[i].iov_len - skip;
        client->backlog = realloc(client->backlog, client->backlog_length + length);
        if (!client->backlog)
            abort();
        memcpy(client->backlog + client->backlog_length, (char *)pieces[i].iov_base + skip, length);
        client->backlog_length += length;
        skip = 0;
    }
}

static void send_pieces(struct client *client, struct iovec *pieces, int n)
{
    ssize_t done = 0;
    if (!client->backlog_length) {
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = n};
        done = n == 1 ? send(client->fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL)
                      : sendmsg(client->fd, &message, MSG_NOSIGNAL);
        if (done < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                return; /* it is gone; its next read tells */
            done = 0;
        }
    }
    size_t length = 0;
    for (int i = 0; i < n; i++)
        length += pieces[i].iov_len;
    if ((size_t)done < length)
        keep_backlog(client, pieces, n, done);
}

static void send_backlog(struct client *client)
{
    ssize_t n = send(client->fd, client->backlog, client->backlog_length, MSG_NOSIGNAL);
    if (n <= 0)
        return;
    client->backlog_length -= n;
    memmove(client->backlog, client->backlog + n, client->backlog_length);
    if (!client->backlog_length)
        watch(client, EPOLLIN, EPOLL_CTL_MOD);
}

static void join(struct client *client, const char *name, size_t length)
{
    if (length >= NAME)
        length = NAME - 1;
    struct room *room = all_rooms;
    while (room && (strncmp(room->name, name, length) != 0 || room->name[length]))
        room = room->next;
    if (!room) {
        room = calloc(1, sizeof *room);
        if (!room)
            abort();
        memcpy(room->name, name, length);
        room->next = all_rooms;
        all_rooms = room;
    }
    room->members =
        grow(room->members, &room->members_room, room->n_members + 1, sizeof *room->members);
    room->members[room->n_members++] = client;
    client->room = room;
    char answer[2 * NAME];
    struct iovec piece = {answer, snprintf(answer, sizeof answer, "* You joined %s\n", room->name)};
    send_pieces(client, &piece, 1);
}

static void say(struct client *client, const char *text, size_t length)
{
    struct room *room = client->room;
    if (!room->batch_length) {
        dirty = grow(dirty, &dirty_room, n_dirty + 1, sizeof *dirty);
        dirty[n_dirty++] = room;
    }
    size_t need = room->batch_length + length + 2 * NAME + 6;
    room->batch = grow(room->batch, &room->batch_room, need, 1);
    size_t begin = room->batch_length;
    char *at = room->batch + begin;
    *at++ = '[';
    at = stpcpy(at, room->name);
    at = stpcpy(at, "] ");
    at = stpcpy(at, client->nick);
    at = stpcpy(at, ": ");
    at = mempcpy(at, text, length);
    *at++ = '\n';
    room->batch_length = at - room->batch;
    room->spans = grow(room->spans, &room->spans_room, room->n_spans + 1, sizeof *room->spans);
    room->spans[room->n_spans++] = (struct span){client, begin, room->batch_length};
    client->spoke = true;
}

static void receive_line(struct client *client, const char *line, size_t length)
{
    if (length >= 6 && memcmp(line, "/join ", 6) == 0) {
        join(client, line + 6, length - 6);
    } else if (length >= 6 && memcmp(line, "/nick ", 6) == 0) {
        size_t n = length - 6 < NAME ? length - 6 : NAME - 1;
        memcpy(client->nick, line + 6, n);
        client->nick[n] = 0;
    } else if (client->room) {
        say(client, line, length);
    }
}

static void leave(struct client *client)
{
    struct room *room = client->room;
    for (size_t i = 0; room && i < room->n_members; i++)
        if (room->members[i] == client)
            room->members[i--] = room->members[--room->n_members];
    close(client->fd);
    client->fd = -1; /* what it said in this turn is still to be sent, so the struct stays */
    free(client->partial);
    free(client->backlog);
}

static void receive(struct client *client)
{
    static char buffer[CHUNK];
    ssize_t n = recv(client->fd, buffer, CHUNK, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n <= 0) {
        leave(client);
        return;
    }
    const char *at = buffer, *end = buffer + n, *newline;
    while ((newline = memchr(at, '\n', end - at))) {
        if (client->partial_length) {
            size_t length = client->partial_length + (newline - at);
            client->partial = realloc(client->partial, length + 1);
            memcpy(client->partial + client->partial_length, at, newline - at);
            receive_line(client, client->partial, length);
            client->partial_length = 0;
        } else {
            receive_line(client, at, newline - at);
        }
        at = newline + 1;
    }
    if (at < end) {
        client->partial = realloc(client->partial, client->partial_length + (end - at));
        memcpy(client->partial + client->partial_length, at, end - at);
        client->partial_length += end - at;
    }
}

/* The batch without the author's own lines; neighbouring lines of others are one piece. */
static void send_without_own(struct room *room, struct client *author)
{
    struct iovec pieces[PIECES];
    int n = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= room->n_spans; i++) {
        bool last = i == room->n_spans;
        if (!last && room->spans[i].author != author)
            continue;
        size_t end = last ? room->batch_length : room->spans[i].begin;
        if (end > begin)
            pieces[n++] = (struct iovec){room->batch + begin, end - begin};
        if (n == PIECES || (last && n)) {
            send_pieces(author, pieces, n);
            n = 0;
        }
        begin = last ? end : room->spans[i].end;
    }
    author->spoke = false;
}

static void send_batch(struct room *room)
{
    for (size_t i = 0; i < room->n_members; i++) {
        struct client *member = room->members[i];
        if (member->spoke) {
            send_without_own(room, member);
        } else {
            struct iovec whole = {room->batch, room->batch_length};
            send_pieces(member, &whole, 1);
        }
    }
    room->batch_length = room->n_spans = 0;
}

int main(void)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("yardstick");
        return 1;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    printf("yardstick: listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (!client) {
                int fd;
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    client = calloc(1, sizeof *client);
                    if (!client)
                        abort();
                    client->fd = fd;
                    watch(client, EPOLLIN, EPOLL_CTL_ADD);
                }
                continue;
            }
            if (events[i].events & EPOLLOUT)
                send_backlog(client);
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
                receive(client);
        }
        for (size_t i = 0; i < n_dirty; i++)
            send_batch(dirty[i]);
        n_dirty = 0;
    }
}
