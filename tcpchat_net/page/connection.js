// The connection to the server: a WebSocket around the client core of protocol.js, and what a tab
// keeps of a session so that a reload resumes it.
//
// When to connect again, and what is asked again then, is decided in protocol.js. Here are the
// clock, the chance and the socket; and the network's own news: `online`, and a tab that is shown.

import { LocalError, Reconnect, RemoteError, Requests, TcpchatError, TooLateError } from "./protocol.js";

const SUBPROTOCOL = "tcpchat.jsonl";

// Why a server that has a password refuses a hello; what else is wrong with one, it tells in a word.
const PASSWORD_WORDS = new Set(["password-needed", "wrong-password"]);

const PING_MS = 20_000; // how often it is asked whether the server is there
const SILENT_MS = 45_000; // without a word, not even the answer to that, the network is gone
const PROBE_MS = 5_000; // … and so long when there is reason to think so
const OPEN_MS = 10_000; // a server that is there answers at once

/**
 * One person's connection. `listener` is told `heard(each)` for every notice, `changed()` when the
 * state or what is kept changed, and `passwordNeeded(text)`.
 *
 * `state` is "connecting", "connected", "lost" (and being replaced), "catching up", or "closed";
 * `reason` is what the server said at the end, if it did.
 */
export class Connection {
  constructor(url, protocol, listener) {
    this.protocol = protocol;
    this._needsPassword = false; // the server has one, and waits for it
    this.state = "connecting";
    this.reason = "";
    this._url = url;
    this._listener = listener;
    this._requests = new Requests(protocol);
    this._reconnect = new Reconnect(Infinity);
    this._reconnect.sessionOpened(now()); // from here on it is tried for as long as the tab lives
    this._socket = null;
    this._closing = null; // the server's last words
    this._waiting = new Map(); // from a pending request to who waits for its answer
    this._retry = 0;
    this._heardAt = 0;
    this._probe = 0;
    this._pings = 0;
    this._catchUp = ""; // the id of the ping that is answered after all that was missed
    this._timer = setInterval(() => this._keepAlive(), PING_MS);
    addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
  }

  /** Connect, now. */
  open() {
    clearTimeout(this._retry);
    this._drop();
    this._closing = null;
    const socket = (this._socket = new WebSocket(this._url, SUBPROTOCOL));
    const lost = () => socket === this._socket && this._lost();
    const slow = setTimeout(() => socket.readyState === WebSocket.CONNECTING && lost(), OPEN_MS);
    socket.onopen = () => {
      clearTimeout(slow);
      this._heardAt = now();
      this._send(this._requests.hello());
    };
    socket.onmessage = ({ data }) => socket === this._socket && this._receive(data);
    socket.onclose = () => {
      clearTimeout(slow);
      lost();
    };
  }

  /** Try at once what was to be tried later; and where all seems well, see whether it is. */
  wake() {
    if (this.state === "lost" || this.state === "connecting") {
      if (this._socket === null) this.open();
    } else if (this.state !== "closed") this._probeNow();
  }

  /** Ask for something: a promise of the notice that answers it, `rejected` too. Throws LocalError. */
  ask(request) {
    const { pending, lines } = this._asked(request);
    const answer = new Promise((resolve) => this._waiting.set(pending, resolve));
    this._send(lines);
    this._listener.changed();
    return answer;
  }

  /** Say something: its id. The receipt is heard. Throws LocalError. */
  say(request) {
    const { pending, lines } = this._asked(request);
    this._listener.changed();
    this._send(lines);
    return pending.request.id;
  }

  /** Tell the server something that has no answer, if it can hear it now; whether it can. */
  tell(request) {
    if (this.state !== "connected") return false;
    this._send(this.protocol.request(request));
    return true;
  }

  /** Give the password that was asked for. */
  usePassword(password) {
    this.protocol.password = password;
    if (this._socket?.readyState === WebSocket.OPEN) this._send(this._requests.hello());
    else this.open();
  }

  /** Say goodbye, for good. */
  quit(reason = "") {
    this._send(this.protocol.request({ type: "quit", reason }));
    this._end("you left");
  }

  // ── Inside

  _asked(request) {
    if (this.state === "closed") throw new LocalError("the conversation is over; come back first");
    return this._requests.ask(request);
  }

  _send(lines) {
    if (this._socket?.readyState !== WebSocket.OPEN) return;
    for (const line of lines) this._socket.send(line);
  }

  _receive(text) {
    this._heardAt = now();
    clearTimeout(this._probe);
    this._probe = 0;
    let told;
    try {
      if (typeof text !== "string") throw new RemoteError("the server sent what is not text");
      told = this._requests.receive(text);
    } catch (error) {
      if (error instanceof TooLateError) return this._lost();
      if (error instanceof TcpchatError) return this._end(error.message);
      throw error;
    }
    this._send(told.reply);
    for (const each of told.heard) this._take(each);
    this._listener.changed();
  }

  _take(heard) {
    const { notice, answers } = heard;
    switch (notice.type) {
      case "welcome":
      case "resumed":
        this._reconnect.sessionOpened(now());
        this._needsPassword = false;
        this.reason = "";
        this._setState(notice.type === "resumed" ? "catching up" : "connected");
        this._catchUp = `catch-up-${++this._pings}`;
        this._send(this.protocol.request({ type: "ping", id: this._catchUp }));
        break;
      case "pong":
        if (notice.id === this._catchUp) this._setState("connected");
        break;
      case "closing":
        this._closing = notice;
        this.reason = notice.reason;
        break;
      case "rejected":
        if (notice.request !== "hello" || !PASSWORD_WORDS.has(notice.reason)) break;
        this._needsPassword = true;
        this._setState("connecting");
        this._listener.passwordNeeded(notice.text);
        break;
    }
    this._listener.heard(heard);
    this._waiting.get(answers)?.(notice);
    this._waiting.delete(answers);
  }

  _lost() {
    this._drop();
    this._requests.connectionLost();
    if (this.state === "closed") return;
    if (this._needsPassword) return; // whoever types it connects
    const wait = this._reconnect.connectionLost(this._closing, now(), Math.random());
    if (wait === null) return this._end(this._closing.reason);
    this._closing = null;
    if (this.state !== "connecting") this._setState("lost");
    this._retry = setTimeout(() => this.open(), wait);
  }

  _end(reason) {
    this.reason = reason;
    clearInterval(this._timer);
    this._setState("closed");
    const socket = this._socket;
    setTimeout(() => socket?.close(), 200); // what was sent last is on its way
    this._socket = null;
  }

  _drop() {
    clearTimeout(this._probe);
    this._probe = 0;
    const socket = this._socket;
    this._socket = null;
    if (socket !== null && socket.readyState < WebSocket.CLOSING) socket.close();
  }

  _setState(state) {
    this.state = state;
    this._listener.changed();
  }

  _keepAlive() {
    if (this._socket?.readyState !== WebSocket.OPEN) return;
    if (now() - this._heardAt > SILENT_MS) this._probeNow();
    else this._ping();
  }

  _ping() {
    this._send(this.protocol.request({ type: "ping", id: `ping-${++this._pings}` }));
  }

  /** The network may be gone without a word: who does not answer soon is. */
  _probeNow() {
    if (this._probe || this._socket?.readyState !== WebSocket.OPEN) return;
    this._ping();
    this._probe = setTimeout(() => this._lost(), PROBE_MS);
  }
}

function now() {
  return performance.now();
}

export { LocalError };

// ── What a tab keeps

// A duplicated tab begins with a copy of the first one's sessionStorage. So the session belongs to
// whoever holds the lock of its name: while the first tab lives, the second is its own person.
const CLAIM_MS = 500; // a reload gives its lock back within a moment
const ASK_MS = 150; // without locks (the page did not come over https): ask the others

/** Whether this tab is the one that this name belongs to; from then on it is. */
export async function claim(name) {
  if (navigator.locks) {
    return new Promise((resolve) => {
      const held = () => {
        resolve(true);
        return new Promise(() => {}); // for as long as the page lives
      };
      const options = { signal: AbortSignal.timeout(CLAIM_MS) };
      navigator.locks.request(`tcpchat ${name}`, options, held).catch(() => resolve(false));
    });
  }
  const channel = new BroadcastChannel(`tcpchat ${name}`);
  const isTaken = await new Promise((resolve) => {
    channel.onmessage = ({ data }) => data === "taken" && resolve(true);
    channel.postMessage("whose?");
    setTimeout(() => resolve(false), ASK_MS);
  });
  channel.onmessage = ({ data }) => data === "whose?" && channel.postMessage("taken");
  if (isTaken) channel.close();
  return !isTaken;
}
