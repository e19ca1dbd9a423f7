/*
 * Whole, plain HTTP/1 exchanges of one connection, from a serialized RawBatch straight to serialized outputs.
 *
 * Refuse, never guess: whatever is not certainly plain ends the run before the event it is in, and nothing is changed here,
 * so the engine in Python does it. What is plain, and that both ways give the same bytes, is told in docs/decisions.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *at, *end;
} Reader;

typedef struct {
    const uint8_t *data;
    size_t size;
} Span;

/* Output under construction; `failed` once memory ran out, which is looked at before it is used. */
typedef struct {
    uint8_t *data;
    size_t size, room;
    int failed;
} Buffer;

typedef struct {
    uint64_t kind, time, direction, position, length, tid;
    Span payload, comm;
} Event;

typedef struct {
    Span before, after, comm; /* serialized fields of a LogEntry's event around its length and payload */
    uint64_t tid, since, next, bytes, messages, now;
} Side;

typedef struct {
    int status;
    uint64_t length;
    size_t end;
} Head;

enum { MOST_WAITING = 64, SHORTEST_HEAD = 16, LONGEST_HEAD = 2048, HELD = 256 * 1024, OWN_HASH = 512 };

typedef struct {
    uint64_t start;
    size_t from, to; /* its serialized Message in `requests` */
} Request;

typedef struct {
    Side sides[2];
    Span exchange_before, exchange_after, protocol;
    uint64_t last, idle, longest, messages, exchanges, asked;
    Request waiting[MOST_WAITING];
    int first, count, asking;
    size_t held;
    Buffer requests, http, scratch, entry;
    PyObject *events, *pairs, *hash;
} Run;

/* --- reading ----------------------------------------------------------------------------------------------------------- */

static int varint(Reader *r, uint64_t *out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1) return 0;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return 1;
        }
    }
    return 0;
}

static int span(Reader *r, Span *out) {
    uint64_t size;
    if (!varint(r, &size) || size > (uint64_t)(r->end - r->at)) return 0;
    out->data = r->at;
    out->size = size;
    r->at += size;
    return 1;
}

/* What is empty may be NULL, which memcmp must not be given. */
static int same(Span a, Span b) { return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0); }

/* 0: not an event of DATA with these fields alone. */
static int read_event(Span data, Event *event) {
    Reader r = {data.data, data.data + data.size};
    memset(event, 0, sizeof *event);
    while (r.at < r.end) {
        int good;
        switch (*r.at++) {
            case 0x08: good = varint(&r, &event->kind); break;
            case 0x11:
                good = r.end - r.at >= 8;
                if (good) {
                    event->time = 0;
                    for (int i = 7; i >= 0; i--) event->time = event->time << 8 | r.at[i];
                    r.at += 8;
                }
                break;
            case 0x18: good = varint(&r, &event->direction); break;
            case 0x20: good = varint(&r, &event->position); break;
            case 0x2a: good = span(&r, &event->payload); break;
            case 0x30: good = varint(&r, &event->length); break;
            case 0x38: good = varint(&r, &event->tid); break;
            case 0x42: good = span(&r, &event->comm); break;
            default: good = 0;
        }
        if (!good) return 0;
    }
    return event->kind == 1 && event->direction <= 1 && event->tid <= UINT32_MAX;
}

/* --- writing ----------------------------------------------------------------------------------------------------------- */

static void put(Buffer *b, const void *data, size_t size) {
    if (b->room - b->size < size) {
        size_t room = (b->size + size) * 2 + 1024;
        uint8_t *grown = PyMem_Realloc(b->data, room);
        if (grown == NULL) {
            b->failed = 1;
            return;
        }
        b->data = grown;
        b->room = room;
    }
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void put_byte(Buffer *b, uint8_t byte) { put(b, &byte, 1); }

static void put_varint(Buffer *b, uint64_t value) {
    uint8_t out[10];
    size_t size = 0;
    while (value > 0x7f) {
        out[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[size++] = (uint8_t)value;
    put(b, out, size);
}

static void put_number(Buffer *b, uint8_t tag, uint64_t value) {
    if (value == 0) return;
    put_byte(b, tag);
    put_varint(b, value);
}

static void put_part(Buffer *b, uint8_t tag, const void *data, size_t size) {
    put_byte(b, tag);
    put_varint(b, size);
    put(b, data, size);
}

static void put_text(Buffer *b, uint8_t tag, Span text) {
    if (text.size) put_part(b, tag, text.data, text.size);
}

static void put_time(Buffer *b, uint8_t tag, uint64_t time) {
    uint8_t out[9] = {tag};
    for (int i = 0; i < 8; i++) out[i + 1] = (uint8_t)(time >> 8 * i);
    put(b, out, 9);
}

/* --- SHA-256 (FIPS 180-4), for bodies so short that calling hashlib costs more than hashing ------------------------------ */

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t word, int by) { return word >> by | word << (32 - by); }

/* One round of FIPS 180-4 section 6.2.2, step 3, on the words a to h by their places in v. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                                                \
    do {                                                                                                                \
        uint32_t first = v[h] + (turn(v[e], 6) ^ turn(v[e], 11) ^ turn(v[e], 25)) + (v[g] ^ (v[e] & (v[f] ^ v[g]))) +    \
                         K[i] + w[i];                                                                                   \
        v[d] += first;                                                                                                  \
        v[h] = first + (turn(v[a], 2) ^ turn(v[a], 13) ^ turn(v[a], 22)) + ((v[a] & v[b]) | (v[c] & (v[a] | v[b])));     \
    } while (0)

static void compress(uint32_t words[8], const uint8_t *block) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t early = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t late = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + early + w[i - 7] + late;
    }
    for (int i = 0; i < 8; i++) v[i] = words[i];
    /* Eight rounds bring each word back to its place, so none has to be moved. */
    for (int i = 0; i < 64; i += 8) {
        ROUND(0, 1, 2, 3, 4, 5, 6, 7, i);
        ROUND(7, 0, 1, 2, 3, 4, 5, 6, i + 1);
        ROUND(6, 7, 0, 1, 2, 3, 4, 5, i + 2);
        ROUND(5, 6, 7, 0, 1, 2, 3, 4, i + 3);
        ROUND(4, 5, 6, 7, 0, 1, 2, 3, i + 4);
        ROUND(3, 4, 5, 6, 7, 0, 1, 2, i + 5);
        ROUND(2, 3, 4, 5, 6, 7, 0, 1, i + 6);
        ROUND(1, 2, 3, 4, 5, 6, 7, 0, i + 7);
    }
    for (int i = 0; i < 8; i++) words[i] += v[i];
}

static void own_hash(Span data, uint8_t out[32]) {
    uint32_t words[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t last[128] = {0};
    size_t whole = data.size / 64 * 64, rest = data.size - whole, end = rest < 56 ? 64 : 128;
    for (size_t i = 0; i < whole; i += 64) compress(words, data.data + i);
    if (rest) memcpy(last, data.data + whole, rest);
    last[rest] = 0x80;
    for (int i = 0; i < 8; i++) last[end - 1 - i] = (uint8_t)((uint64_t)data.size * 8 >> 8 * i);
    for (size_t i = 0; i < end; i += 64) compress(words, last + i);
    for (int i = 0; i < 32; i++) out[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
}

/* -1: an exception is set. */
static int digest(Run *run, Span body, uint8_t out[32]) {
    static uint8_t empty[32];
    static int known;
    if (body.size == 0) {
        if (!known) own_hash(body, empty);
        known = 1;
        memcpy(out, empty, sizeof empty);
        return 0;
    }
    if (body.size <= OWN_HASH) {
        own_hash(body, out);
        return 0;
    }
    PyObject *data = PyBytes_FromStringAndSize((const char *)body.data, (Py_ssize_t)body.size);
    PyObject *found = data ? PyObject_CallOneArg(run->hash, data) : NULL;
    Py_XDECREF(data);
    if (found == NULL) return -1;
    int good = PyBytes_Check(found) && PyBytes_GET_SIZE(found) == 32;
    if (good) memcpy(out, PyBytes_AS_STRING(found), 32);
    Py_DECREF(found);
    if (!good) PyErr_SetString(PyExc_TypeError, "the hash function must return 32 bytes");
    return good ? 0 : -1;
}

/* --- heads (RFC 9112 sections 2 to 5), in their plainest form ------------------------------------------------------------- */

static int is_token(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* Whether `text` is `name`, which is in lower case. */
static int named(Span text, const char *name) {
    if (text.size != strlen(name)) return 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (uint8_t)name[i]) return 0;
    }
    return 1;
}

static int printable(Span text, uint8_t least) {
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < least || text.data[i] > 0x7e) return 0;
    return 1;
}

typedef struct {
    Span method, target, version, reason;
    int status;
} Start;

static int read_version(const uint8_t *at, Span *version) {
    version->data = at + 5;
    version->size = 3;
    return memcmp(at, "HTTP/1.", 7) == 0 && is_digit(at[7]);
}

static int read_status(Span line, Start *start) {
    const uint8_t *at = line.data;
    if (line.size < 12 || !read_version(at, &start->version) || at[8] != ' ') return 0;
    if (!is_digit(at[9]) || !is_digit(at[10]) || !is_digit(at[11])) return 0;
    start->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
    if (start->status < 200) return 0;
    if (line.size == 12) return 1;
    start->reason.data = at + 13;
    start->reason.size = line.size - 13;
    return at[12] == ' ' && line.size > 13 && at[13] != ' ' && printable(start->reason, 0x20);
}

static int read_request(Span line, Start *start) {
    size_t method = 0;
    while (method < line.size && is_token(line.data[method])) method++;
    if (method == 0 || method > 40 || line.size < method + 11 || line.data[method] != ' ') return 0;
    start->method = (Span){line.data, method};
    start->target = (Span){line.data + method + 1, line.size - method - 10};
    if (line.data[line.size - 9] != ' ' || !printable(start->target, 0x21)) return 0;
    /* What a response to these carries depends on more than its own head. */
    if (named(start->method, "head") || named(start->method, "connect")) return 0;
    return read_version(line.data + line.size - 8, &start->version);
}

static int read_length(Span value, uint64_t *length) {
    *length = 0;
    if (value.size == 0 || value.size > 18) return 0;
    for (size_t i = 0; i < value.size; i++) {
        if (!is_digit(value.data[i])) return 0;
        *length = *length * 10 + (value.data[i] - '0');
    }
    return 1;
}

static int read_field(Span line, Span *name, Span *value) {
    size_t size = 0;
    while (size < line.size && is_token(line.data[size])) size++;
    if (size == 0 || size == line.size || line.data[size] != ':') return 0;
    *name = (Span){line.data, size};
    const uint8_t *at = line.data + size + 1, *end = line.data + line.size;
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t')) end--;
    *value = (Span){at, (size_t)(end - at)};
    return printable(*value, 0x20);
}

/* The next line, without its CR LF; a bare LF is not plain. */
static int next_line(Reader *r, Span *line) {
    const uint8_t *found = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (found == NULL || found == r->at || found[-1] != '\r') return 0;
    *line = (Span){r->at, (size_t)(found - 1 - r->at)};
    r->at = found + 1;
    return 1;
}

static int is_status(Span line) { return line.size >= 5 && memcmp(line.data, "HTTP/", 5) == 0; }

/* Whether a lower-case word begins a text, whatever the text's case. */
static int begins(Span text, const char *word) {
    size_t size = strlen(word);
    return text.size >= size && named((Span){text.data, size}, word);
}

/* Content types of bodies that tell more than a body (protocols/web). */
static int is_watched(Span type) { return begins(type, "text/event-stream"); }

/* Read a head and write its `Http` into run->http; 0: there is none, or none that is plain. */
static int read_head(Run *run, Span data, Head *head) {
    Start start = {0};
    Span line, name, value, host = {0};
    Buffer *fields = &run->scratch, *http = &run->http;
    int lengths = 0, hosts = 0;
    uint64_t length = 0;
    Reader r = {data.data, data.data + (data.size < LONGEST_HEAD ? data.size : LONGEST_HEAD)};
    if (!next_line(&r, &line)) return 0;
    if (!(is_status(line) ? read_status(line, &start) : read_request(line, &start))) return 0;
    fields->size = http->size = 0;
    for (;;) {
        if (!next_line(&r, &line)) return 0;
        if (line.size == 0) break;
        if (!read_field(line, &name, &value)) return 0;
        if (named(name, "transfer-encoding") || named(name, "content-encoding") || named(name, "upgrade")) return 0;
        if (named(name, "content-type") && is_watched(value)) return 0;
        if (named(name, "content-length") && (lengths++ || !read_length(value, &length))) return 0;
        if (named(name, "host") && hosts++ == 0) host = value;
        size_t inner = 1 + (name.size > 127 ? 2 : 1) + name.size;
        if (value.size) inner += 1 + (value.size > 127 ? 2 : 1) + value.size;
        put_byte(fields, 0x3a);
        put_varint(fields, inner);
        put_text(fields, 0x0a, name);
        put_text(fields, 0x12, value);
    }
    head->end = (size_t)(r.at - data.data);
    head->status = start.status;
    if (head->end < SHORTEST_HEAD) return 0;
    if (start.status == 204 || start.status == 304) length = 0;
    else if (start.status && !lengths) return 0; /* until the connection closes */
    head->length = length;
    put_text(http, 0x0a, start.method);
    put_text(http, 0x12, start.target);
    if (!start.status) put_text(http, 0x1a, host);
    put_text(http, 0x22, start.version);
    put_number(http, 0x28, (uint64_t)start.status);
    put_text(http, 0x32, start.reason);
    put(http, fields->data, fields->size);
    return 1;
}

/* --- messages ------------------------------------------------------------------------------------------------------------ */

static int append(PyObject *list, const Buffer *buffer) {
    if (buffer->failed) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject *value = PyBytes_FromStringAndSize((const char *)buffer->data, (Py_ssize_t)buffer->size);
    int result = value ? PyList_Append(list, value) : -1;
    Py_XDECREF(value);
    return result;
}

static int put_event(Run *run, const Event *event, Span message) {
    Side *side = &run->sides[event->direction];
    Buffer *inner = &run->scratch, *entry = &run->entry;
    inner->size = entry->size = 0;
    put_number(inner, 0x08, event->time);
    put(inner, side->before.data, side->before.size);
    put_number(inner, 0x50, message.size);
    put_text(inner, 0x5a, message);
    put(inner, side->after.data, side->after.size);
    put_number(inner, 0x70, run->messages);
    put(inner, "\x78\x01", 2);
    put(entry, "\x08\x02", 2);
    put_part(entry, 0x12, inner->data, inner->size);
    entry->failed |= inner->failed;
    return append(run->events, entry);
}

static int put_message(Run *run, const Event *event, Span body, Buffer *out) {
    uint8_t hash[32];
    if (digest(run, body, hash) < 0) return -1;
    put(out, run->protocol.data, run->protocol.size);
    put_number(out, 0x10, event->direction);
    put_time(out, 0x19, event->time);
    put_time(out, 0x21, event->time);
    put_text(out, 0x2a, body);
    put_number(out, 0x30, body.size);
    put_part(out, 0x3a, hash, sizeof hash);
    put_number(out, 0x40, body.size);
    put(out, "\x48\x01", 2);
    put_part(out, 0x62, run->http.data, run->http.size);
    out->failed |= run->http.failed;
    return 0;
}

static int put_exchange(Run *run, const Event *event, const Buffer *response) {
    Request request = run->waiting[run->first];
    Buffer *out = &run->entry;
    out->size = 0;
    put(out, run->exchange_before.data, run->exchange_before.size);
    put_number(out, 0x20, ++run->exchanges);
    put(out, run->exchange_after.data, run->exchange_after.size);
    put_part(out, 0x4a, run->requests.data + request.from, request.to - request.from);
    put_part(out, 0x52, response->data, response->size);
    put_byte(out, 0x58);
    put_varint(out, event->time > request.start ? event->time - request.start : 0);
    out->failed |= response->failed | run->requests.failed;
    run->first++;
    if (--run->count == 0) {
        run->first = 0;
        run->requests.size = 0;
        run->held = 0;
    }
    return append(run->pairs, out);
}

/* 1: taken; 0: not plain; -1: an exception is set. */
static int take_message(Run *run, const Event *event, Span data, size_t *used) {
    Head head;
    int direction = (int)event->direction;
    if (!read_head(run, data, &head)) return 0;
    if (head.length > data.size - head.end || head.length > run->longest) return 0;
    *used = head.end + head.length;
    Span body = {data.data + head.end, head.length};
    if (!head.status) {
        if (run->first + run->count >= MOST_WAITING || (run->count && run->asking != direction)) return 0;
        run->held += body.size;
    } else if (run->count == 0 || run->asking == direction) {
        return 0;
    }
    if (run->held + body.size > HELD) return 0;
    run->sides[direction].messages++;
    run->messages++;
    if (put_event(run, event, (Span){data.data, *used}) < 0) return -1;
    if (head.status) {
        run->scratch.size = 0;
        return put_message(run, event, body, &run->scratch) < 0 || put_exchange(run, event, &run->scratch) < 0 ? -1 : 1;
    }
    Request *request = &run->waiting[run->first + run->count++];
    run->asking = direction;
    run->asked++;
    *request = (Request){event->time, run->requests.size, 0};
    if (put_message(run, event, body, &run->requests) < 0) return -1;
    request->to = run->requests.size;
    return 1;
}

static int take_event(Run *run, const Event *event) {
    Side *side = &run->sides[event->direction];
    Span data = event->payload;
    if (event->time == 0 || event->time > INT64_MAX || data.size == 0 || data.size > UINT32_MAX) return 0;
    if (event->time > run->last && event->time - run->last > run->idle) return 0;
    if (event->position != side->next || (event->length && event->length != data.size)) return 0;
    if (event->tid != side->tid || !same(event->comm, side->comm) || event->time < side->since) return 0;
    if (event->position > INT64_MAX - data.size) return 0;
    while (data.size) {
        size_t used;
        int taken = take_message(run, event, data, &used);
        if (taken <= 0) return taken;
        data.data += used;
        data.size -= used;
    }
    side->next += event->payload.size;
    side->bytes += event->payload.size;
    side->now = event->time;
    if (event->time > run->last) run->last = event->time;
    return 1;
}

/* --- a record -------------------------------------------------------------------------------------------------------------- */

/* What stands before the events, as Python knows it: node, boot and connection, each with its tag and size. */
static int read_record(Span value, Span expected, Reader *events, uint64_t *count) {
    Reader r = {value.data, value.data + value.size};
    const uint8_t *known = expected.data, *known_end = expected.data + expected.size;
    while (r.at < r.end && *r.at != 0x2a) {
        const uint8_t *begin = r.at;
        Span part;
        uint8_t tag = *r.at++;
        if (tag == 0x18) {
            if (!varint(&r, count)) return 0;
            continue;
        }
        if ((tag != 0x0a && tag != 0x12 && tag != 0x22) || !span(&r, &part)) return 0;
        size_t size = (size_t)(r.at - begin);
        if (size > (size_t)(known_end - known) || memcmp(begin, known, size) != 0) return 0;
        known += size;
    }
    *events = r;
    return known == known_end && r.at < r.end;
}

typedef struct {
    Py_ssize_t events, pairs;
    uint64_t taken, all, messages, exchanges, asked, last;
    Side sides[2];
} Settled;

static void settle(Run *run, Settled *settled, uint64_t taken) {
    settled->taken = taken;
    settled->events = PyList_GET_SIZE(run->events);
    settled->pairs = PyList_GET_SIZE(run->pairs);
    settled->messages = run->messages;
    settled->exchanges = run->exchanges;
    settled->asked = run->asked;
    settled->last = run->last;
    memcpy(settled->sides, run->sides, sizeof run->sides);
}

/* 1: done; 0: not a record that may be taken; -1: an exception is set. Stops at the last event behind which nothing is open. */
static int take_record(Run *run, Reader r, uint64_t from, Settled *settled) {
    uint64_t index = 0;
    int going = 1;
    settle(run, settled, from);
    for (; r.at < r.end; index++) {
        Span data;
        Event event;
        if (*r.at++ != 0x2a || !span(&r, &data)) return 0;
        if (index < from || !going) continue;
        going = read_event(data, &event) ? take_event(run, &event) : 0;
        if (going < 0) return -1;
        if (going && run->count == 0) settle(run, settled, index + 1);
    }
    settled->all = index;
    return 1;
}

static PyObject *answer(Run *run, const Settled *s) {
    if (PyList_SetSlice(run->events, s->events, PyList_GET_SIZE(run->events), NULL) < 0) return NULL;
    if (PyList_SetSlice(run->pairs, s->pairs, PyList_GET_SIZE(run->pairs), NULL) < 0) return NULL;
    const Side *a = &s->sides[0], *b = &s->sides[1];
    return Py_BuildValue("KOO(KKKK)((KKKK)(KKKK))", s->taken, run->events, run->pairs, s->messages, s->exchanges, s->asked, s->last,
                         a->next, a->bytes, a->messages, a->now, b->next, b->bytes, b->messages, b->now);
}

static void release(Run *run) {
    Buffer *all[] = {&run->requests, &run->http, &run->scratch, &run->entry};
    for (size_t i = 0; i < 4; i++) PyMem_Free(all[i]->data);
    Py_XDECREF(run->events);
    Py_XDECREF(run->pairs);
}

static PyObject *take(PyObject *self, PyObject *arguments) {
    Run run = {0};
    Settled settled;
    Side *a = &run.sides[0], *b = &run.sides[1];
    Span value, expected;
    unsigned long long from, count = 0;
    PyObject *result = NULL;
    (void)self;
    memset(&settled, 0, sizeof settled);
    if (!PyArg_ParseTuple(arguments, "y#Ky#(y#y#Ky#)(y#y#Ky#)(y#y#y#)(KKKKKKKKK)O", &value.data, &value.size, &from, &expected.data,
                          &expected.size, &a->before.data, &a->before.size, &a->after.data, &a->after.size, &a->tid, &a->comm.data,
                          &a->comm.size, &b->before.data, &b->before.size, &b->after.data, &b->after.size, &b->tid, &b->comm.data,
                          &b->comm.size, &run.exchange_before.data, &run.exchange_before.size, &run.exchange_after.data,
                          &run.exchange_after.size, &run.protocol.data, &run.protocol.size, &a->next, &b->next, &a->since, &b->since,
                          &run.last, &run.idle, &run.longest, &run.messages, &run.exchanges, &run.hash))
        return NULL;
    run.events = PyList_New(0);
    run.pairs = PyList_New(0);
    if (run.events && run.pairs) {
        Reader events;
        uint64_t told = 0;
        int good = read_record(value, expected, &events, &told) ? take_record(&run, events, from, &settled) : 0;
        count = told;
        if (good > 0 && settled.taken > from && (!count || count == settled.all))
            result = Py_BuildValue("KN", (unsigned long long)settled.all, answer(&run, &settled));
        else if (good >= 0)
            result = Py_NewRef(Py_None);
    }
    release(&run);
    return result;
}

static PyMethodDef methods[] = {
    {"take", take, METH_VARARGS, "take(value, from, expected, received, sent, exchange, numbers, hash) -> (all, result) | None"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "Plain HTTP/1 exchanges, fast.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
