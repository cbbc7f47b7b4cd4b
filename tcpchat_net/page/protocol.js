// The client's side of the JSON Lines dialect, in a browser: tcpchat_core/client in JavaScript.
// Text in, notices out: no DOM, no timers, no sockets. Words and rules are those that stand there,
// at `ClientProtocol`, `Requests` and `Reconnect`; tests/web/test_protocol.py compares them. Names
// are keys of a Map, never of an object: `__proto__` is a legal room.
//
// Requests and notices are objects as docs/protocol.md has them; in a notice, what the server left
// out has its default.

import { nameKey, roomKey } from "./commands.js";
import { NOTICES, REQUESTS, STRUCTS } from "./tables.js";

export const MAX_LINE_BYTES = 32_768; // what a server reads of a line, unless it says otherwise
export const MAX_NOTICE_CHARS = 16 * 1024 * 1024; // a room's whole history, and more
export const MAX_ROOMS = 4_096; // a server cannot make us remember more rooms …
export const MAX_MEMBERS = 100_000; // … or people of a room
export const MAX_ID_CHARS = 64;
export const MAX_PENDING = 1_000; // more than people type while they have no connection

// ── What went wrong

/** The base of all; the message is one sentence for people. */
export class TcpchatError extends Error {}
/** The other side broke the protocol. */
export class RemoteError extends TcpchatError {}
/** Our first line came so late that the server took us for a person with nc: connect again. */
export class TooLateError extends RemoteError {}
/** We were asked for what cannot be done. Nothing was changed by it. */
export class LocalError extends TcpchatError {}
/** A line is longer than the server reads. */
export class LineTooLongError extends LocalError {
  constructor(maxBytes) {
    super(`a line has at most ${maxBytes.toLocaleString("en")} bytes`);
    this.maxBytes = maxBytes;
  }
}
/** Too many requests wait for their answers already. */
export class TooManyRequestsError extends LocalError {}

// ── Text

// tcpchat_core/sanitize.py: what a terminal, or a bidirectional layout, would obey.
const SPACES = /[\t\n\v\f\r\x85\u2028\u2029]/g;
const REMOVED =
  /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]/gu;

export function sanitize(text) {
  return text.replace(SPACES, " ").replace(REMOVED, "");
}

const isSafe = (text) => sanitize(text) === text;

const LONE_SURROGATES = /[\ud800-\udfff]/gu; // with the u flag a pair is one character

/** The text with U+FFFD for each lone surrogate, so that it can be encoded as UTF-8. */
export function replaceSurrogates(text) {
  return text.toWellFormed ? text.toWellFormed() : text.replace(LONE_SURROGATES, "\ufffd");
}

const utf8 = new TextEncoder();
const byteCount = (text) => utf8.encode(text).length;

// ── The wire

/** The request as one line, without its end: `type` first, what has its default left out. */
function encodeRequest(request) {
  const entries = [["type", request.type]];
  for (const [field, [, ...rest]] of REQUESTS.get(request.type)) {
    const value = request[field];
    if (value === undefined || isDefault(value, rest)) continue;
    entries.push([field, value instanceof Map ? Object.fromEntries(value) : value]);
  }
  return JSON.stringify(Object.fromEntries(entries));
}

function isDefault(value, rest) {
  if (rest.length === 0) return false;
  return value instanceof Map ? value.size === 0 : value === rest[0];
}

function isGoodId(id) {
  return id === undefined || id === null || ([...id].length <= MAX_ID_CHARS && isSafe(id));
}

/** The request with all its texts as UTF-8 can hold them. */
function encodable(request) {
  const texts = Object.entries(request).map(([field, value]) => [
    field,
    typeof value === "string" ? replaceSurrogates(value) : field === "tags" && value ? encodable(value) : value,
  ]);
  return Object.fromEntries(texts);
}

class BadShape extends Error {}

/** The value as its kind wants it, every text sanitised. `kind` is as tables.js writes it. */
function read(value, kind) {
  if (kind.endsWith("?")) return value === null ? null : read(value, kind.slice(0, -1));
  if (kind.startsWith("[")) {
    if (!Array.isArray(value)) throw new BadShape();
    return value.map((item) => read(item, kind.slice(1, -1)));
  }
  switch (kind) {
    case "str":
      if (typeof value !== "string") throw new BadShape();
      return sanitize(value);
    case "int":
      if (!Number.isInteger(value)) throw new BadShape();
      return value;
    case "bool":
      if (typeof value !== "boolean") throw new BadShape();
      return value;
    case "map":
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadShape();
      return Object.fromEntries(
        Object.entries(value).map(([key, text]) => [sanitize(key), read(text, "str")]),
      );
    case "said":
      return readFields(value, NOTICES.get("said"), "said");
    default:
      return readFields(value, STRUCTS.get(kind));
  }
}

function readFields(value, shape, type) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadShape();
  if (type !== undefined && Object.hasOwn(value, "type") && value.type !== type) {
    throw new BadShape();
  }
  const fields = type === undefined ? [] : [["type", type]];
  for (const [field, [kind, ...rest]] of shape) {
    if (Object.hasOwn(value, field)) fields.push([field, read(value[field], kind)]);
    else if (rest.length > 0) fields.push([field, rest[0]]);
    else throw new BadShape();
  }
  return Object.fromEntries(fields);
}

/** The notice in a line; null for one that only a newer client knows. Throws when it is none. */
function decodeNotice(line) {
  const value = JSON.parse(line);
  const type = typeof value === "object" && value !== null ? value.type : undefined;
  if (typeof type === "string" && type !== "" && !NOTICES.has(type)) return null;
  if (typeof type !== "string" || type === "") throw new BadShape();
  return readFields(value, NOTICES.get(type), type);
}

// How a server greets whom it takes for a person.
const PLAIN_GREETINGS = ["* Welcome to tcpchat", "! password-needed", "* Closing: "];

// ── The session

/** What a client knows of a room that it is in. */
class RoomView {
  constructor(told, seq) {
    this.name = told.room;
    this.topic = told.topic;
    this.seq = seq; // of the last message seen
    this.count = told.count; // how many people there are
    // Their nicks, in the order of coming; of a very large room only the first hundreds.
    this.members = new Set(told.members);
    this.moderators = new Set(told.moderators); // those of them who moderate it
  }

  /** Somebody is here no more. */
  lose(nick) {
    this.members.delete(nick);
    this.moderators.delete(nick);
    this.count -= 1;
  }
}

const renamed = (nicks, from, to) => new Set([...nicks].map((nick) => (nick === from ? to : nick)));

// Of what is kept over a reload: each field's kind, as tables.js writes it.
const SAVED = new Map([
  ["nick", ["str"]],
  ["epoch", ["str"]],
  ["told", ["int"]],
  ["lost", ["[str]"]],
  ["lastId", ["int"]],
]);

const isSaid = (request) => request.type === "say" || request.type === "tell";

/**
 * One client's session, over one connection after another, called in Python's order.
 *
 * `receive` takes a line. The `device` that `claim` gives is to be kept by whoever uses this;
 * `saved` is without it.
 */
export class ClientProtocol {
  constructor({ password = "", device = "" } = {}) {
    this.nick = "";
    this.welcome = null;
    this.epoch = ""; // of all numbers: the last that was told
    this.rooms = new Map(); // by the server's name of a room
    this.unacknowledged = new Map(); // by id, oldest first
    this.abandoned = []; // what was unacknowledged in a session that is over
    this.password = password;
    this.device = device; // the token by which this comes to an account; "" for a guest
    this._told = 0; // the number of the last direct message
    // Rooms ("" for direct messages) where something seen is lost, as was told when the session was
    // resumed; the gap there is still to be told.
    this._lost = new Set();
    this._owed = []; // to be told behind what was told last
    this._lastId = 0;
    this._open = false; // the server has answered hello
    this._spokenTo = false; // it has said anything, on this connection
    this._held = []; // to be sent: what was said, by id, and other requests
    this._places = new Map(); // of the unacknowledged, in the order of saying
    this._lastPlace = 0;
  }

  // ── Kept over a reload

  /** What a later `ClientProtocol.restored` needs to resume the session; it can be JSON. */
  saved() {
    return {
      nick: this.nick,
      welcome: this.welcome,
      epoch: this.epoch,
      rooms: [...this.rooms.values()].map((view) => [view.name, view.seq]),
      unacknowledged: [...this.unacknowledged.values()],
      told: this._told,
      lost: [...this._lost],
      lastId: this._lastId,
    };
  }

  /** As it was `saved`; null when that is not what stands there. */
  static restored(saved) {
    try {
      return ClientProtocol._restored(saved);
    } catch (error) {
      if (error instanceof BadShape) return null;
      throw error;
    }
  }

  static _restored(saved) {
    const { nick, epoch, told } = readFields(saved, SAVED);
    const { welcome, rooms, unacknowledged } = saved;
    if (!Array.isArray(rooms) || !Array.isArray(unacknowledged)) throw new BadShape();
    const protocol = new ClientProtocol();
    protocol.nick = nick;
    protocol.welcome = welcome && readFields(welcome, NOTICES.get("welcome"), "welcome");
    protocol.epoch = epoch;
    protocol._told = told;
    protocol._lost = new Set(saved.lost);
    protocol._lastId = saved.lastId;
    for (const pair of rooms) {
      if (!Array.isArray(pair)) throw new BadShape();
      const [room, seq] = [read(pair[0], "str"), read(pair[1], "int")];
      protocol.rooms.set(room, new RoomView({ room, topic: "", count: 0, members: [], moderators: [] }, seq));
    }
    for (const message of unacknowledged) {
      if (!message || !isSaid(message)) throw new BadShape();
      readFields(message, REQUESTS.get(message.type), message.type);
      protocol.unacknowledged.set(message.id, message);
      protocol._places.set(message.id, ++protocol._lastPlace);
    }
    return protocol;
  }

  // ── Asking

  /**
   * The first lines of a connection: a new session, or the one there was.
   *
   * `again` are requests to be asked again once the session is open, in order, each with the id of
   * the message that was said before it: it comes after that one, if that is sent again.
   */
  hello(again = []) {
    this._open = this._spokenTo = false;
    const after = new Map();
    for (const [id, request] of again) {
      const place = this.unacknowledged.has(id) ? id : null;
      after.set(place, [...(after.get(place) ?? []), encodable(request)]);
    }
    this._held = [...(after.get(null) ?? [])];
    for (const id of this.unacknowledged.keys()) {
      this._held.push(id, ...(after.get(id) ?? []));
    }
    const token = this.welcome ? this.welcome.token : "";
    const { _told: told, password, device } = this;
    const hello = encodable({ type: "hello", token, told, password, device });
    hello.epoch = token ? this.epoch : "";
    let seen = token ? [...this.rooms].map(([room, view]) => [room, view.seq]) : [];
    for (;;) {
      const line = encodeRequest({ ...hello, seen: new Map(seen) });
      if (byteCount(line) + 1 <= this._maxLineBytes || seen.length === 0) return [line];
      // Of the rooms that are left out the server sends all it has; what was seen is dropped.
      seen = seen.slice(0, Math.floor(seen.length / 2));
    }
  }

  /** The connection is gone: until the next `hello` nothing is to be sent. */
  connectionLost() {
    this._open = false;
  }

  /** Ask for anything. What is said without an id is given one; the rest goes out at once. */
  request(request) {
    if (!isSaid(request)) return [this._checked(request)[1]];
    let id = request.id ?? null;
    if (id === null) {
      id = String(++this._lastId);
      request = { ...request, id };
    }
    this.unacknowledged.set(id, this._checked(request)[0]);
    this._places.set(id, ++this._lastPlace);
    this._held.push(id);
    return this._sendHeld();
  }

  /** As `request`, but in the order of asking, and only once the session is open. */
  ask(request) {
    if (isSaid(request)) return this.request(request);
    this._held.push(this._checked(request)[0]);
    return this._sendHeld();
  }

  /** The request as a server can read it, and its line. */
  _checked(request) {
    if (!isGoodId(request.id)) {
      throw new LocalError(
        `an id has at most ${MAX_ID_CHARS} characters, and no control characters`,
      );
    }
    request = encodable(request);
    const line = encodeRequest(request);
    if (byteCount(line) > this._maxLineBytes) throw new LineTooLongError(this._maxLineBytes);
    return [request, line];
  }

  /** How many bytes a line may have: what the server says, if it does. */
  get _maxLineBytes() {
    const said = this.welcome?.limits?.line_bytes ?? 0;
    return said > 0 ? said : MAX_LINE_BYTES;
  }

  /** What may be sent now of what was said: nothing a window or more after the oldest without a receipt. */
  _sendHeld() {
    if (!this._open) return [];
    const window = this.welcome?.limits?.unacknowledged ?? 1;
    const lines = [];
    let sent = 0;
    for (const next of this._held) {
      if (typeof next !== "string") {
        lines.push(encodeRequest(next));
      } else if (this.unacknowledged.has(next)) {
        const oldest = this._places.get(this.unacknowledged.keys().next().value);
        if (this._places.get(next) >= oldest + window) break;
        lines.push(encodeRequest(this.unacknowledged.get(next)));
      } // else it has its receipt
      sent += 1;
    }
    this._held.splice(0, sent);
    return lines;
  }

  // ── Being told

  /**
   * Lines came. Returns the notices in order, the lines to send, and for each notice the rooms in
   * which it changed who is there. Throws RemoteError when it is not the protocol.
   */
  receive(text) {
    const told = { notices: [], rooms: [], reply: [] };
    const lines = text.split("\n");
    if (lines.length > 1 && lines[lines.length - 1] === "") lines.pop();
    for (const line of lines) {
      const notice = this._decode(line);
      this._spokenTo = true;
      if (notice === null) continue;
      if (notice.type === "ping") told.reply.push(encodeRequest({ type: "pong", id: notice.id }));
      this._changed = [];
      if (this._take(notice)) {
        told.notices.push(notice);
        told.rooms.push(this._changed);
      }
      for (const owed of this._owed.splice(0)) {
        told.notices.push(owed);
        told.rooms.push([]);
      }
    }
    told.reply.push(...this._sendHeld());
    return told;
  }

  _decode(line) {
    if (line.length > MAX_NOTICE_CHARS) {
      throw new RemoteError(
        `the server sent a line of more than ${MAX_NOTICE_CHARS.toLocaleString("en")} bytes`,
      );
    }
    try {
      return decodeNotice(line);
    } catch {
      if (!this._spokenTo && PLAIN_GREETINGS.some((greeting) => line.startsWith(greeting))) {
        throw new TooLateError("our first line came so late that the server spoke first");
      }
      const shown = JSON.stringify(sanitize(line.slice(0, 60)));
      throw new RemoteError(`the server does not speak tcpchat's protocol: it sent ${shown}`);
    }
  }

  /** Learn from a notice; return whether it is news. */
  _take(notice) {
    switch (notice.type) {
      case "said":
        if (notice.id !== null) this._acknowledge(notice.id);
        return this._see(notice.room, notice.seq);
      case "sent": {
        const news = notice.id === null || this._acknowledge(notice.id);
        if (notice.room !== null && notice.seq !== null) this._see(notice.room, notice.seq);
        return news;
      }
      case "rejected":
        if (notice.id !== null) this._acknowledge(notice.id);
        return true;
      case "told": {
        const news = notice.seq > this._told;
        this._told = Math.max(this._told, notice.seq);
        return news;
      }
      case "gap": {
        if (notice.room === "") {
          this._lost.delete("");
          this._told = notice.oldest - 1;
          return true;
        }
        const isKnown = this.rooms.has(notice.room) && !this._lost.has(notice.room);
        this._lost.delete(notice.room);
        return this._see(notice.room, notice.oldest - 1) || !isKnown;
      }
      case "welcome":
        this._begin(notice);
        return true;
      case "resumed":
        this._resume(notice);
        return true;
      case "claimed":
        this.device = notice.token || this.device;
        return true;
      case "diverged":
        this.epoch = notice.epoch;
        return false;
      default:
        this._follow(notice);
        return true;
    }
  }

  /** A session begins. An earlier one is over: what it left open cannot be known. */
  _begin(welcome) {
    if (this.welcome !== null) {
      this.abandoned.push(...this.unacknowledged.values());
      this.unacknowledged.clear();
      this._places.clear();
      this.rooms.clear();
      this._lost.clear();
      this._told = 0;
    }
    this.welcome = welcome;
    this.epoch = welcome.epoch;
    for (const [id, message] of [...this.unacknowledged]) {
      if (byteCount(encodeRequest(message)) > this._maxLineBytes) {
        this.abandoned.push(message);
        this._acknowledge(id);
      }
    }
    this.nick = welcome.nick;
    this._open = true;
  }

  /** The session goes on. */
  _resume(resumed) {
    this._open = true;
    this.nick = resumed.nick;
    this.epoch = resumed.epoch;
    const [known, untold] = [this.rooms, this._lost];
    this.rooms = new Map();
    this._lost = new Set();
    this._told = this._cut("", this._told, resumed.common, untold);
    for (const state of resumed.rooms) {
      const seen = known.get(state.room)?.seq ?? 0;
      const kept = this._cut(state.room, seen, state.common, untold);
      this.rooms.set(state.room, new RoomView(state, kept));
    }
  }

  /** What of a number is that of this epoch. Of the rest a gap is told, now or next time. */
  _cut(room, seen, common, untold) {
    if (common !== null && seen > common) {
      this._lost.add(room);
      return common;
    }
    // The server has nothing to cut any more.
    if (untold.has(room)) this._owed.push({ type: "gap", room, oldest: seen + 1 });
    return seen;
  }

  _acknowledge(id) {
    this._places.delete(id);
    return this.unacknowledged.delete(id);
  }

  _see(room, seq) {
    const view = this.rooms.get(room);
    if (view === undefined || seq <= view.seq) return false;
    view.seq = seq;
    return true;
  }

  /** Keep up with who is where. */
  _follow(notice) {
    const view = this.rooms.get(notice.room);
    switch (notice.type) {
      case "entered":
        if (this.rooms.size >= MAX_ROOMS) {
          const most = MAX_ROOMS.toLocaleString("en");
          throw new RemoteError(`the server put us into more than ${most} rooms`);
        }
        this.rooms.set(notice.room, new RoomView(notice, notice.seq));
        break;
      case "joined":
        if (view === undefined) break;
        view.count += 1;
        if (view.members.size < MAX_MEMBERS) view.members.add(notice.nick);
        this._changed.push(view.name);
        break;
      case "left":
        if (notice.own) this.rooms.delete(notice.room);
        else if (view !== undefined) this._without(view, notice.nick);
        break;
      case "gone":
        for (const each of this._leftBy(notice.nick)) this._without(each, notice.nick);
        break;
      case "renamed":
        if (notice.own) this.nick = notice.new;
        for (const each of this.rooms.values()) {
          if (each.moderators.has(notice.old)) {
            each.moderators = renamed(each.moderators, notice.old, notice.new);
          }
          if (!each.members.has(notice.old)) continue;
          each.members = renamed(each.members, notice.old, notice.new);
          this._changed.push(each.name);
        }
        break;
      case "role":
        if (notice.role !== "moderator" && notice.role !== "owner") {
          view?.moderators.delete(notice.nick);
        } else if (view?.moderators.size < MAX_MEMBERS) view.moderators.add(notice.nick);
        break;
      case "topic":
        if (view !== undefined) view.topic = notice.topic;
        break;
    }
  }

  _without(view, nick) {
    view.lose(nick);
    this._changed.push(view.name);
  }

  /**
   * The rooms that somebody who is gone was in, as far as can be told: who is on no list was in one
   * whose list is not complete.
   */
  _leftBy(nick) {
    const views = [...this.rooms.values()];
    const listed = views.filter((view) => view.members.has(nick));
    if (listed.length > 0) return listed;
    const partly = views.filter((view) => view.count > view.members.size);
    return partly.length === 1 ? partly : [];
  }
}

// ── Requests and their answers

// What answers what. `hello` is answered by the session, `pong` and `read` by nothing; where several
// notices can be the answer, it is the most frequent one.
const ANSWERS = new Map([
  ["nick", "renamed"],
  ["away", "away"],
  ["setname", "setname"],
  ["join", "entered"],
  ["out", "left"],
  ["topic", "topic"],
  ["kick", "left"],
  ["restrict", "restricted"],
  ["lift", "lifted"],
  ["role", "role"],
  ["mode", "mode"],
  ["invite", "invited"],
  ["redact", "redacted"],
  ["restrictions", "restrictions"],
  ["claim", "claimed"],
  ["login", "claimed"],
  ["password", "password"],
  ["device", "offered"],
  ["revoke", "revoked"],
  ["devices", "devices"],
  ["audit", "audit"],
  ["quit", "closing"],
  ["rooms", "rooms"],
  ["who", "who"],
  ["whois", "person"],
  ["whowas", "whowas"],
  ["watch", "presence"],
  ["history", "history"],
  ["search", "found"],
  ["ping", "pong"],
  ["help", "help"],
]);

const isSameRoom = (one, other) => one === other || roomKey(one) === roomKey(other);

const lastKey = (map) => [...map.keys()].pop() ?? null;

/** Whether a request is to put somebody out of a room, or of the server; until a time: a ban. */
function putsOut({ type, what, server = false }, until, isOfServer) {
  if (server !== isOfServer) return false;
  return until > 0 ? type === "restrict" && what === "ban" : type === "kick";
}

/** A request that waits for its answer. What is said has an id here, in any case. */
class PendingRequest {
  constructor(request, after, sent) {
    this.request = request;
    this.after = after; // the id of the message that was said before it
    this.sent = sent; // over this connection
    this.again = false; // and over an earlier one, so that it may have been done
  }
}

/** A session, and the requests in it that wait for their answers; it takes the session's place. */
export class Requests {
  constructor(protocol) {
    this.protocol = protocol;
    this._pending = []; // oldest first; what was said is in `_said`
    this._said = new Map(); // by id
    this._open = false;
    this._nick = ""; // as of the notice that is looked at
    this._rooms = []; // where we were when the connection was lost
  }

  /** Whether `ask` would refuse what is not said. */
  get isFull() {
    return this._pending.length >= MAX_PENDING;
  }

  /** The first lines of a connection. */
  hello() {
    this.connectionLost();
    return this.protocol.hello(this._pending.map((each) => [each.after, each.request]));
  }

  /** The connection is gone. What is asked from now on waits for the next. */
  connectionLost() {
    this._open = false;
    this._nick = this.protocol.nick;
    this._rooms = [...this.protocol.rooms.keys()];
    this.protocol.connectionLost();
  }

  /** Ask for something that has an answer: `{pending, lines}`. Throws LocalError. */
  ask(request) {
    const said = this.protocol.unacknowledged;
    if (isSaid(request)) {
      const lines = this.protocol.ask(request);
      const id = request.id ?? lastKey(said);
      const pending = new PendingRequest(said.get(id), null, this._open);
      this._said.set(id, pending);
      return { pending, lines };
    }
    if (!ANSWERS.has(request.type)) throw new LocalError(`nothing answers ${request.type}`);
    if (this.isFull) throw new TooManyRequestsError("too many requests wait for their answers");
    const lines = this.protocol.ask(request);
    const pending = new PendingRequest(request, lastKey(said), this._open);
    this._pending.push(pending);
    return { pending, lines };
  }

  /** Nobody waits for the answer any more. What was said is still sent until its receipt. */
  cancel(pending) {
    this._pending = this._pending.filter((each) => each !== pending);
    if (isSaid(pending.request)) this._said.delete(pending.request.id);
  }

  /** A line came: `heard` in order, each `{notice, answers, rooms}`, and the lines to send. */
  receive(text) {
    const told = this.protocol.receive(text);
    let reply = told.reply;
    const heard = told.notices.map((notice, place) => {
      if (notice.type === "welcome") reply = [...this._goBack(), ...reply];
      const answered = { ...this._answered(notice), rooms: told.rooms[place] };
      if (notice.type === "welcome" || notice.type === "resumed") this._opened(notice.nick);
      else if (notice.type === "renamed" && notice.own) this._nick = notice.new;
      return answered;
    });
    return { heard, reply };
  }

  /** The notice, with the request that it answers, which waits no longer. */
  _answered(notice) {
    const type = notice.type;
    if ((type === "sent" || type === "said") && notice.id !== null) {
      return { notice, answers: this._takeSaid(notice.id) };
    }
    if (type === "rejected" && this._said.has(notice.id)) {
      return { notice, answers: this._takeSaid(notice.id) };
    }
    const place = this._pending.findIndex((each) => this._isAnswer(notice, each.request));
    if (place < 0) return { notice, answers: null };
    const [pending] = this._pending.splice(place, 1);
    return { notice: this._outcome(notice, pending), answers: pending };
  }

  _takeSaid(id) {
    const pending = this._said.get(id) ?? null;
    this._said.delete(id);
    return pending;
  }

  _isAnswer(notice, request) {
    if (notice.type === "rejected") return notice.request === request.type;
    // What another device of the same account does in another room is no answer.
    if (request.room && notice.room && !isSameRoom(request.room, notice.room)) return false;
    const isOfKind = notice.type === ANSWERS.get(request.type);
    switch (notice.type) {
      case "left":
        if (notice.by === "") return notice.own && request.type === "out";
        // It answers who has put somebody out, and not who was.
        return notice.by === this._nick && putsOut(request, notice.until, false);
      case "expelled":
        return notice.by === this._nick && putsOut(request, notice.until, true);
      case "restricted":
        return request.type === "restrict" && this._isMine(notice, request);
      case "lifted":
        return isOfKind && this._isMine(notice, request);
      case "mode":
      case "invited":
      case "redacted":
        return isOfKind && notice.by === this._nick;
      case "role":
        return isOfKind && notice.by === this._nick && notice.role === request.role;
      case "away":
        return notice.own && isOfKind && !request.text === !notice.text;
      case "setname":
        return notice.own && isOfKind && !request.name === !notice.name;
      case "renamed":
        return notice.own && isOfKind && nameKey(request.nick) === nameKey(notice.new);
      case "topic":
        return isOfKind && ((request.topic ?? null) === null || notice.nick === this._nick);
      case "presence":
        return isOfKind && !notice.changed;
      case "pong":
        return isOfKind && (request.id ?? null) === notice.id;
      default:
        return isOfKind;
    }
  }

  _isMine(notice, request) {
    const isWhere = !notice.room === Boolean(request.server);
    return isWhere && notice.by === this._nick && notice.what === request.what;
  }

  /** By which token one comes is known where it was made or given. */
  _outcome(notice, pending) {
    if (notice.type === "claimed" && notice.token === "" && pending.request.device) {
      this.protocol.device = pending.request.device;
      return { ...notice, token: pending.request.device };
    }
    const wasOut = notice.type === "rejected" && notice.reason === "not-in-room";
    if (wasOut && pending.request.type === "out" && pending.again) {
      const { room } = pending.request;
      return { type: "left", room, nick: this._nick, own: true, by: "", reason: "", at: 0, until: 0 };
    }
    return notice;
  }

  _opened(nick) {
    this._nick = nick;
    this._open = true;
    for (const pending of [...this._pending, ...this._said.values()]) {
      pending.again = pending.sent;
      pending.sent = true;
    }
  }

  /** After a welcome: ask for the nick and the rooms that we had in an earlier session. */
  _goBack() {
    for (const id of [...this._said.keys()]) {
      if (!this.protocol.unacknowledged.has(id)) this._said.delete(id);
    }
    const asked = this._rooms.map((room) => ({ type: "join", room }));
    // What is no name that can be chosen is the server's to give; and so is an account's, also of
    // one that is about to be claimed.
    const isClaiming = this._pending.some(({ request }) => ["claim", "login"].includes(request.type));
    const isGuest = this.protocol.welcome.account === "" && !isClaiming;
    if (isGuest && this._nick && !this._nick.toLowerCase().startsWith("guest-")) {
      asked.unshift({ type: "nick", nick: this._nick });
    }
    this._pending.unshift(...asked.map((request) => new PendingRequest(request, null, false)));
    return asked.flatMap((request) => this.protocol.request(request));
  }
}

// ── When to connect again

export const FIRST_PAUSE_MS = 100; // a restart or a change of network takes less than a second
export const MAX_PAUSE_MS = 10_000;
export const STEADY_MS = MAX_PAUSE_MS; // a session that lasted less does not make pauses short
const LONGEST_RETRY_MS = 24 * 60 * 60 * 1_000; // a server may not make us sleep for ever

/**
 * When one client connects again. Call `sessionOpened` with each welcome or resumed;
 * `connectionLost` when the connection ends, and when an attempt to replace it fails.
 */
export class Reconnect {
  constructor(giveUpAfterMs) {
    this._giveUpAfterMs = giveUpAfterMs;
    this._pauseMs = 0;
    this._openedAt = null; // while there is no session
    this._giveUpAt = 0;
  }

  /** Whether there is no session now. */
  get inProgress() {
    return this._openedAt === null;
  }

  /** The server has answered hello. To be connected is not enough: it may be a proxy. */
  sessionOpened(now) {
    this._openedAt = now;
  }

  /**
   * For how many milliseconds to wait before the next attempt; null to give up. `closing` is what
   * the server said at the end, if it did; `spread` a random number from 0 to 1.
   */
  connectionLost(closing, now, spread) {
    if (this._openedAt !== null) {
      this._giveUpAt = now + this._giveUpAfterMs;
      if (now - this._openedAt >= STEADY_MS) this._pauseMs = 0;
      this._openedAt = null;
    }
    let retryMs = 0;
    if (closing !== null) {
      if (closing.retry === null) return null;
      retryMs = Math.min(Math.max(0, closing.retry), LONGEST_RETRY_MS);
    }
    const waitMs = Math.max(this._pauseMs * (0.5 + spread), retryMs * (1 + spread / 2));
    if (now + waitMs >= this._giveUpAt) return null;
    this._pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, 2 * this._pauseMs), MAX_PAUSE_MS);
    return waitMs;
  }
}
