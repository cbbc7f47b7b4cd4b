// The page: who one is, which conversations there are, and what is typed. It wires protocol.js and
// connection.js to view.js; what is told comes in at `heard`, what is typed at `entered`.

import {
  COMMANDS,
  LOCAL_COMMANDS,
  helpLines,
  mentions,
  nameKey,
  parseLine,
  roomKey,
} from "./commands.js";
import { Connection, LocalError, claim } from "./connection.js";
import {
  arrayOf,
  codeGiven,
  goesBack,
  hashRoom,
  keep,
  kept,
  keptText,
  onEnter,
  openEntrance,
  roomsToGoBackTo,
  stringsOf,
  takeCode,
} from "./entrance.js";
import { away, linesOf, putOut, realName } from "./moderation.js";
import { Prompt } from "./prompt.js";
import { ClientProtocol } from "./protocol.js";
import { Search } from "./search.js";
import { Conversation, Log, element, linked, nickElement } from "./view.js";

const PAGE_MESSAGES = 100; // how many older messages come at a time
const FAR_MESSAGES = 500; // … and on the way to one that was found; a server gives no more
const FAR_PAGES = 40;
const MAX_KEPT_DIRECTS = 200; // messages of a direct conversation that outlive a reload
const MAX_SHOWN_PEOPLE = 500;
const SAVE_MS = 300;
const MAX_GONE_BACK_TO = 20; // rooms
const RETURN_MS = 400; // for so long who goes back to them sees nothing yet
const READ_MS = 5_000; // so long, at least, between two times that a room is told to be read
const DEVICE_NAME = "browser"; // of a device that came by an address
const FIRST_ROOM = "lobby"; // where people meet when nobody has made a room yet

const $ = (id) => document.getElementById(id);

// ── State

const pairsOf = (value) => arrayOf(value).filter((each) => typeof arrayOf(each)[0] === "string");
const isMessage = (item) =>
  item?.kind === "said" && typeof item.nick === "string" && typeof item.text === "string";

const conversations = new Map(); // by key: `#room` or `@nick`
let current = null; // the conversation that is looked at
let connection = null;
let tab = ""; // the name of this tab's session: see claim()
let isIn = false; // past the entrance
let account = ""; // whose device this is, or who has said its password; "" for a guest
let claiming = null; // while a code of an address is asked about or tried: the promise of its end
const untold = []; // sentences for the first conversation there is
let hasArchive = false; // until the server says otherwise
let wantsNotices = kept("localStorage", "notify") === true;
let pasted = null; // {conversation, lines, sent, waitsFor}
let epoch = ""; // of the numbers in the conversations
let isReturning = false; // in without being asked, as soon as the server is there
let isReplayed = false; // what comes now was said while the connection was lost
const unplaced = new Map(); // by id: what was pending in conversations that were closed
const isWanted = new Set(); // keys of rooms that one asked to join, to be looked at
const ignored = new Map(pairsOf(kept("sessionStorage", "ignored"))); // nicks, by their keys

const log = new Log($("scroller"), $("log"), $("pending"), $("latest"), { older, show: (message) => goTo(message) });

const me = () => connection.protocol.nick;
const keyOf = (kind, name) => (kind === "room" ? `#${name}` : `@${nameKey(name)}`);
const isLooking = () => document.visibilityState === "visible" && document.hasFocus();

function conversation(kind, name) {
  const key = keyOf(kind, name);
  if (!conversations.has(key)) conversations.set(key, new Conversation(kind, name));
  return conversations.get(key);
}

const joined = () => [...connection.protocol.rooms.keys()].map((name) => conversation("room", name));
const directs = () => [...conversations.values()].filter((each) => each.kind === "direct");
const listed = () => [...joined(), ...directs()];
const limits = () => connection.protocol.welcome?.limits ?? null;

// ── Drawing: once for all that came in a while

const due = new Set(); // what is to be drawn

let isScheduled = false;

function draw(...parts) {
  if (!isScheduled) {
    isScheduled = true;
    // A hidden page has no frames; its title still tells what is unread.
    setTimeout(drawNow, 250);
    requestAnimationFrame(drawNow);
  }
  for (const part of parts) due.add(part);
}

function drawNow() {
  if (!isScheduled) return;
  isScheduled = false;
  const parts = new Set(due);
  due.clear();
  if (!isIn || current === null) {
    if (isIn) drawSide();
    drawStatus();
    return;
  }
  if (parts.has("log") && !document.hidden) log.update({ isQuiet: isReplayed });
  tellRead();
  isReplayed &&= connection.state !== "connected";
  if (parts.has("pending")) log.drawPending();
  if (parts.has("side")) drawSide();
  if (parts.has("people")) drawPeople();
  drawStatus();
  if (document.hidden && parts.has("log")) due.add("log");
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return save();
  draw("log", "pending", "side", "people");
  read();
});

/** Make a list's children anew only where they changed, so that the focus stays where it is. */
function fill(list, rows, signature) {
  if (list.dataset.signature === signature) return;
  list.dataset.signature = signature;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...rows());
  if (focused) [...list.querySelectorAll("button")].find((b) => b.dataset.key === focused)?.focus();
}

function drawSide() {
  for (const [id, all] of [
    ["rooms", joined()],
    ["directs", directs()],
  ]) {
    const state = all.map((each) => [each.name, each.unread, each.mentions, each === current]);
    fill($(id), () => all.map(sideRow), JSON.stringify(state));
  }
  $("directs-title").hidden = $("directs").hidden = directs().length === 0;
  $("me").textContent = me();
  const unread = listed().reduce((sum, each) => sum + each.unread, 0);
  const forMe = listed().reduce((sum, each) => sum + each.mentions, 0);
  const where = current === null ? "tcpchat" : `${current.name} – tcpchat`;
  document.title = unread > 0 ? `(${unread}${forMe > 0 ? "!" : ""}) ${where}` : where;
  const elsewhere = listed().reduce((sum, each) => sum + (each === current ? 0 : each.unread), 0);
  $("elsewhere").textContent = elsewhere > 99 ? "99+" : elsewhere;
  $("elsewhere").hidden = elsewhere === 0;
  $("elsewhere").classList.toggle("urgent", forMe > 0);
  const colour = forMe > 0 ? "e03131" : unread > 0 ? "f08c00" : "0b7285";
  const icon = $("icon").href.replace(/%23[0-9a-f]{6}/, `%23${colour}`);
  if ($("icon").href !== icon) $("icon").href = icon;
}

function sideRow(each) {
  const name = element("bdi", "name", each.name);
  const button = element("button", `plain ${each.kind}`, name);
  button.dataset.key = keyOf(each.kind, each.name);
  if (each === current) button.setAttribute("aria-current", "true");
  if (each.unread > 0) {
    const forMe = each.mentions > 0 ? `, ${each.mentions} for you` : "";
    const meaning = element("span", "hidden", ` unread${forMe}`);
    button.append(" ", element("b", `count ${forMe && "urgent"}`, String(each.unread), meaning));
  }
  button.addEventListener("click", () => look(each));
  const close = element("button", "icon close-it", "✕");
  close.setAttribute("aria-label", each.kind === "room" ? `Leave ${each.name}` : `Close ${each.name}`);
  close.addEventListener("click", () => leaveConversation(each));
  return element("li", "", button, close);
}

function drawPeople() {
  const view = connection.protocol.rooms.get(current.name);
  const isRoom = current.kind === "room" && view !== undefined;
  $("title").replaceChildren(
    current.kind === "room" ? element("bdi", "", current.name) : nickElement(current.name),
  );
  const topic = isRoom ? view.topic : current.kind === "direct" ? "to you alone" : "";
  if ($("topic").title !== topic) {
    $("topic").title = topic;
    $("topic").replaceChildren(...linked(topic));
  }
  $("people").hidden = $("show-people").hidden = !isRoom;
  $("show-search").hidden = !hasArchive;
  $("app").classList.toggle("alone", !isRoom);
  $("text-label").textContent = $("text").placeholder = `Message to ${current.name}`;
  const between = current.kind === "room" ? "in" : "with";
  $("log").setAttribute("aria-label", `Messages ${between} ${current.name}`);
  if (!isRoom) return;
  const many = view.count;
  $("people-title").textContent = many === 1 ? "1 here" : `${many.toLocaleString("en")} here`;
  $("count").textContent = many.toLocaleString("en");
  $("show-people").setAttribute("aria-label", many === 1 ? "1 person here" : `${many} people here`);
  const shown = [...view.members].slice(0, MAX_SHOWN_PEOPLE).sort(byName);
  const moderate = shown.filter((nick) => view.moderators.has(nick));
  const rows = () => shown.map((nick) => memberRow(nick, view.moderators.has(nick)));
  fill($("members"), rows, JSON.stringify([shown, me(), many, moderate]));
}

const collator = new Intl.Collator("en", { sensitivity: "base", numeric: true });
const byName = (one, other) => collator.compare(one, other);

function memberRow(nick, isModerator) {
  const about = [...(nick === me() ? ["you"] : []), ...(isModerator ? ["moderator"] : [])];
  const noted = about.length > 0 ? [element("span", "quiet", ` ${about.join(", ")}`)] : [];
  if (nick === me()) return element("li", "", nickElement(nick), ...noted);
  const button = element("button", "plain", nickElement(nick));
  button.dataset.key = nick;
  button.title = `Write to ${nick} alone`;
  button.addEventListener("click", () => look(conversation("direct", nick)));
  return element("li", "", button, ...noted);
}

let said = ""; // in the status line, for a moment
let saidTimer = 0;

/** One line of the page's own voice, above the prompt. */
function tellBelow(text, ms = 6_000) {
  said = text;
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => {
    said = "";
    drawStatus();
  }, ms);
  drawStatus();
}

function drawStatus() {
  const { state, reason } = connection;
  const why = reason ? ` (${reason})` : "";
  const lines = {
    connecting: `Connecting …${why}`,
    lost: `The connection is lost${why}. Reconnecting; what you type is kept.`,
    "catching up": "Catching up …",
    closed: `The conversation is over: ${reason}.`,
  };
  const text = pasted?.agreed ? pasteProgress() : said || (lines[state] ?? "");
  const isAsking = state === "connecting" && !$("password-field").hidden;
  if (!isIn) $("enter-status").textContent = isAsking ? "" : (lines[state] ?? "");
  const status = $("status");
  if (status.dataset.shown !== `${state} ${text}`) {
    status.dataset.shown = `${state} ${text}`;
    status.replaceChildren(text);
    if (state === "closed") {
      const again = element("button", "primary", "Come back");
      again.addEventListener("click", () => location.reload());
      status.append(" ", again);
    }
  }
  status.classList.toggle("trouble", state === "lost" || state === "closed");
}

// ── Being told

function note(where, parts, { error = false, at = Date.now() } = {}) {
  where?.add({ kind: "note", at, parts: typeof parts === "string" ? [parts] : parts, error });
  if (where === current) draw("log");
}

/** A message came, or one's own has its place. */
function addSaid(where, item) {
  const { nick, text } = item;
  Object.assign(item, old(item));
  if (item.seq) {
    where.oldest ??= item.seq;
    where.last = Math.max(where.last ?? 0, item.seq);
  }
  if (isIgnored(nick)) return;
  if (!item.own) {
    where.spoke(nick);
    const isForMe = item.mention || where.kind === "direct";
    const isRead = item.seq > 0 && item.seq <= where.read; // on another device
    if (!isRead && (where !== current || !isLooking())) {
      if (where.unread === 0) setMark(where, where.end);
      where.unread += 1;
      where.mentions += isForMe ? 1 : 0;
      if (isForMe) notify(where, nick, text);
    }
  }
  where.add(item);
  draw("side", ...(where === current ? ["log"] : []));
}

function setMark(where, place) {
  where.mark = place;
  if (where === current) log.unmark();
}

/** A conversation is over. What is pending there is not: it may still be refused. */
function close(where) {
  conversations.delete(keyOf(where.kind, where.name));
  for (const [id, message] of where.pending) unplaced.set(id, message);
  if (pasted?.where === where) stopPaste();
}

/** What is looked at has been read. */
function read() {
  if (current === null || !isLooking()) return;
  if (current.unread > 0) {
    current.unread = current.mentions = 0;
    draw("side");
  }
  tellRead();
}

addEventListener("focus", read);

/** One's other devices need not show as new what is read here. */
function tellRead() {
  if (account === "" || current?.kind !== "room" || !isLooking() || !log.isAtEnd) return;
  const where = current;
  where.seen = connection.protocol.rooms.get(where.name)?.seq ?? 0;
  if (where.seen <= where.read) return;
  const wait = where.toldAt + READ_MS - performance.now();
  where.telling ||= setTimeout(() => {
    where.telling = 0;
    const { name, seen, read } = where;
    if (seen <= read || !connection.tell({ type: "read", room: name, seq: seen })) return;
    where.read = seen;
    where.toldAt = performance.now();
  }, Math.max(0, wait));
}

/** Up to this number it has been read somewhere. */
function readUpTo(where, seq) {
  where.read = Math.max(where.read, seq);
  const isNew = (item) => item.kind === "said" && !item.own && item.seq > where.read;
  const left = where.unread > 0 ? where.items.filter(isNew) : [];
  where.unread = Math.min(where.unread, left.length);
  where.mentions = Math.min(where.mentions, left.filter((item) => item.mention).length);
  draw("side");
}

function heard({ notice, rooms, answers }) {
  switch (notice.type) {
    case "welcome":
      return welcomed(notice);
    case "resumed":
      epoch = notice.epoch;
      resumed(notice);
      return;
    case "said":
      if (notice.id !== null) received(notice.id);
      addSaid(conversation("room", notice.room), { ...notice });
      if (notice.id !== null) continuePaste(notice.id);
      return;
    case "sent":
      return ownReceived(notice);
    case "told":
      if (isIgnored(notice.nick)) return;
      // With `to` it is what one has said oneself, on another device.
      addSaid(conversation("direct", notice.to || notice.nick), { ...notice, seq: 0, emote: false });
      keepDirects();
      return;
    case "entered":
      return cameInto(notice);
    case "left":
      if (notice.own) {
        outOf(notice.room);
        if (notice.by && current) note(current, putOut(notice), { error: true });
        return;
      }
      if (notice.by) {
        note(conversation("room", notice.room), putOut(notice));
        return draw("people");
      }
      return changed(rooms, { what: "left", nick: notice.nick, reason: notice.reason });
    case "joined":
      return changed(rooms, { what: "joined", nick: notice.nick }, notice.at);
    case "gone":
      return changed(rooms, { what: "gone", nick: notice.nick, reason: notice.reason });
    case "renamed":
      return renamed(notice, rooms);
    case "away":
      if (notice.own) break;
      return changed(roomsOf(notice.nick), {
        what: notice.text ? "away" : "back",
        nick: notice.nick,
        reason: notice.text,
      });
    case "account":
      for (const room of roomsOf(notice.nick)) {
        for (const parts of linesOf(notice)) note(conversation("room", room), parts);
      }
      return;
    case "setname":
      if (notice.own) break;
      return changed(roomsOf(notice.nick), {
        what: "with another real name",
        nick: notice.nick,
        told: `tells ${realName(notice.name)}`,
      });
    case "topic":
      return topicSet(notice);
    case "gap":
      return gap(notice);
    case "rejected":
      return rejected(notice);
    case "announced":
      for (const each of listed()) note(each, [{ text: notice.text }], { error: true });
      return;
    case "rooms":
      return drawRooms(notice);
    case "read":
      return readUpTo(conversation("room", notice.room), notice.seq);
    case "claimed":
      claimed(notice);
      break;
    case "redacted":
      takenBack(notice);
      break;
    case "role":
      draw("people");
  }
  // What one asked for is shown where one is.
  const isList = ["who", "restrictions"].includes(notice.type);
  const where = isList ? current : (conversations.get(keyOf("room", notice.room)) ?? current);
  for (const parts of linesOf(notice) ?? []) note(where, parts);
}

// ── Accounts

/** Tell something as soon as there is a conversation to tell it in, and at the entrance till then. */
function tellSoon(text) {
  if (isIn && current !== null) return note(current, text, { error: true });
  untold.push(text);
  $("enter-error").textContent = text;
}

function drawAccount() {
  $("nick-field").hidden = account !== "" || claiming !== null;
  $("account").hidden = account === "";
  $("account-nick").textContent = account;
}

/**
 * Become a device of an account, by a code. The token is made here, so that the same can be asked
 * again when the answer was lost.
 */
async function claimWith(code, name) {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const device = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const { type, text } = await ask({ type: "claim", code, name, device });
  if (type === "rejected" && !isIn) tellSoon(text);
}

/** The same by a code that came in an address, if one agrees to it. */
async function claimGiven(code) {
  const before = claiming;
  const isDone = (async () => {
    await before;
    if (await agreesToClaim()) await claimWith(code, DEVICE_NAME);
  })();
  claiming = isDone;
  drawAccount();
  await isDone;
  if (claiming === isDone) claiming = null;
  drawAccount();
}

/**
 * Whether to use a code that came in an address. Anybody can have written that, so that one would
 * talk by an account that is theirs, and not know it.
 */
async function agreesToClaim() {
  // Until the server answers, nobody knows who this is.
  if ((await ask({ type: "ping", id: "claim" })).type === "rejected") return false;
  if (account !== "") {
    tellSoon(`You are ${account} here already, so the code in the address was not used.`);
    return false;
  }
  const dialog = $("claim-dialog");
  let token;
  do {
    token = keptText("device");
    const instead = token === "" ? "" : ", in place of the one that it is a device of now";
    $("claim-text").textContent =
      `The address that you opened has a code that makes this browser a device of an account on` +
      ` ${location.host}${instead}: use it only if it was meant for you.`;
    dialog.returnValue = "";
    dialog.showModal(); // the text has the focus: no key that was meant for the entrance agrees
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    // Another tab may have become a device meanwhile.
  } while (dialog.returnValue === "use" && token !== keptText("device"));
  return dialog.returnValue === "use";
}

function claimed(notice) {
  account = notice.account;
  // Another tab may have put there that by which this is a device, too.
  if (notice.token && !keep("localStorage", "device", notice.token)) {
    tellSoon(`This browser keeps nothing: you are ${account} in this tab only.`);
  }
  keep("localStorage", "nick", null); // it is the account's from now on, and a guest cannot have it
  $("nick").value = "";
  drawAccount();
  saveSoon();
}

/** The device by which this came is nobody's any more. */
function forgetDevice() {
  const { protocol } = connection;
  // Another tab may have become another device meanwhile.
  if (keptText("device") === protocol.device) keep("localStorage", "device", null);
  protocol.device = "";
  account = "";
  drawAccount();
  tellSoon("This device is no longer one of an account, so you are a guest here; ask for a new code.");
}

/** A message is not to be shown any more. */
function takenBack({ room, seq }) {
  const where = conversation("room", room);
  for (const item of where.items) {
    if (item.seq === seq) Object.assign(item, { text: "", redacted: true, mention: false, re: null });
    if (item.re === seq) item.quote = null;
  }
  if (where === current) log.strike(seq);
}

function welcomed(welcome) {
  account = welcome.account;
  drawAccount();
  const isAnew = isIn; // the session was lost: the client goes back by itself
  $("server").textContent = welcome.server || "tcpchat";
  $("motd").replaceChildren(...linked(welcome.motd.join("\n")));
  for (const message of connection.protocol.abandoned.splice(0)) {
    const [kind, name] = message.type === "say" ? ["room", message.room] : ["direct", message.nick];
    const where = conversation(kind, name);
    where.pending.delete(message.id);
    unplaced.delete(message.id);
    if (pasted?.waitsFor === message.id) stopPaste();
    note(where, `this may not have been said: ${message.text}`, { error: true });
  }
  draw("pending");
  if (isAnew && epoch !== welcome.epoch) {
    for (const each of conversations.values()) each.hasOlder = false; // numbers begin anew
  }
  epoch = welcome.epoch;
  if (isAnew) {
    note(current, "the server does not know this session any more; you begin anew");
    return;
  }
  if (welcome.motd.length > 0) $("motd").hidden = false;
  lookForArchive();
  ask({ type: "rooms" });
  if (isReturning) return goBack();
  showEntrance();
  const motd = $("motd");
  motd.tabIndex = motd.scrollHeight > motd.clientHeight ? 0 : -1; // keys scroll a long one
}

/** Whether there is something to search: asked by who is in no room, it costs the server nothing. */
async function lookForArchive() {
  const answer = await ask({ type: "search", words: "x", limit: 1 });
  hasArchive = answer.type === "found";
  draw("people");
}

function resumed(notice) {
  isReplayed = true;
  drawAccount();
  $("server").textContent = connection.protocol.welcome.server || "tcpchat";
  for (const name of connection.protocol.rooms.keys()) conversation("room", name).epoch = epoch;
  for (const state of notice.rooms) {
    const where = conversation("room", state.room);
    where.read = where.seen = 0; // it may have been of another epoch
    readUpTo(where, state.read);
  }
  for (const each of conversations.values()) {
    if (each.kind === "room" && !connection.protocol.rooms.has(each.name)) close(each);
  }
  if (connection.protocol.rooms.size === 0 && directs().length === 0) {
    ask({ type: "rooms" });
    showEntrance();
    return;
  }
  showApp();
  if (current === null || !listed().includes(current)) look(listed()[0]);
  draw("log", "side", "people");
}

function cameInto(notice) {
  const where = conversation("room", notice.room);
  const isKnown = where.items.length > 0 && where.last !== null && where.epoch === epoch;
  let history = notice.history;
  if (isKnown && !notice.again) {
    history = history.filter((each) => each.seq > where.last);
    if (notice.seq > where.last && history[0]?.seq !== where.last + 1) {
      where.add({ kind: "gap", at: notice.at, parts: ["what was said here meanwhile is missing"] });
    }
  }
  if (where.epoch !== epoch) where.read = where.seen = 0;
  readUpTo(where, notice.read);
  if (!notice.again) {
    where.epoch = epoch;
    for (const each of history) addOld(where, each);
    if (where.oldest === null) where.oldest = notice.seq + 1;
    where.last = notice.seq;
    note(where, others(notice), { at: notice.at });
  }
  const isAsked = isWanted.delete(roomKey(notice.room));
  if (isAsked || (current === null && isWanted.size === 0)) {
    showApp();
    look(where);
  }
  rememberRooms();
  draw("log", "side", "people");
}

/** A message from before one came: nobody is told of it. */
function addOld(where, each) {
  where.oldest ??= each.seq;
  if (!isIgnored(each.nick)) where.add(old(each));
}

const old = (each) => ({
  ...each,
  kind: "said",
  own: each.nick === me(),
  mention: each.nick !== me() && mentions(each.text, me()),
  quote: each.quote && !isIgnored(each.quote.nick) ? each.quote : null,
});

function others(notice) {
  const nicks = notice.members.filter((nick) => nick !== me());
  if (notice.count <= 1) return ["you are here alone"];
  const shown = nicks.slice(0, 10).flatMap((nick, place) => [...(place > 0 ? [", "] : []), { nick }]);
  const more = notice.count - 1 - Math.min(nicks.length, 10);
  return ["you are here with ", ...shown, ...(more > 0 ? [` and ${more} more`] : [])];
}

function outOf(room) {
  const where = conversation("room", room);
  close(where);
  if (where === current) {
    current = null;
    const next = listed()[0];
    if (next) look(next);
    else {
      ask({ type: "rooms" });
      showEntrance();
    }
  }
  rememberRooms();
  draw("side", "people");
}

/** The rooms in which somebody is seen. */
function roomsOf(nick) {
  const rooms = [...connection.protocol.rooms.values()];
  return rooms.filter(({ members }) => members.has(nick)).map(({ name }) => name);
}

function changed(rooms, change, at = Date.now()) {
  for (const room of rooms) {
    const where = conversation("room", room);
    where.addChange(change, at);
    if (where === current) draw("log", "people");
  }
}

function renamed(notice, rooms) {
  if (notice.own) {
    if (notice.old === notice.new) return; // it was asked for again
    for (const each of listed()) note(each, ["you are now ", { nick: notice.new }]);
    if (isIn && account === "") keep("localStorage", "nick", notice.new);
    draw("side", "people");
    return;
  }
  changed(rooms, { what: "renamed", nick: notice.old, to: notice.new });
  const [from, to] = [keyOf("direct", notice.old), keyOf("direct", notice.new)];
  const where = conversations.get(from);
  if (where === undefined || (from !== to && conversations.has(to))) return;
  conversations.delete(from);
  where.name = notice.new;
  conversations.set(to, where);
  note(where, [{ nick: notice.old }, " is now ", { nick: notice.new }]);
  draw("side", "people");
}

function topicSet({ room, topic, nick }) {
  const who = nick ? [" (set by ", { nick }, ")"] : [];
  const parts = topic ? ["topic: ", { text: topic }, ...who] : ["there is no topic"];
  note(conversation("room", room), parts);
  draw("people");
}

function gap({ room }) {
  const text = room ? "some of what was said here is lost" : "some of what was said to you alone is lost";
  const where = room ? [conversation("room", room)] : directs();
  for (const each of where) each.add({ kind: "gap", at: Date.now(), parts: [text] });
  if (!room && where.length === 0) note(current, text, { error: true });
  draw("log");
}

function rejected(notice) {
  const { request, text, id } = notice;
  if (id !== null) {
    for (const each of conversations.values()) {
      const message = each.pending.get(id);
      if (message === undefined) continue;
      each.pending.delete(id);
      note(each, `not said: ${message.text} (${text})`, { error: true });
      draw("pending");
    }
    const message = unplaced.get(id);
    if (unplaced.delete(id)) note(current, `not said: ${message.text} (${text})`, { error: true });
    if (pasted?.waitsFor === id) stopPaste();
    return;
  }
  if (request === "hello" && notice.reason === "unknown-device") return forgetDevice();
  if (["history", "search", "hello", "rooms", "read"].includes(request)) return; // whoever asked tells
  if (request === "join" && refused !== null) refused.push(text);
  if (!isIn || refused !== null) return;
  note(current, text, { error: true });
}

// ── One's own messages

/** What is answered: of what others have said here, the one so far from the end. */
function answered(where, back) {
  const there = where.items.filter(({ seq, own, redacted }) => seq && !own && !redacted);
  if (there.length < back) throw new LocalError("there is no such message here to answer");
  return there.at(-back);
}

function sayTo(where, text, emote = false, to = undefined) {
  if (where.kind === "direct" && emote) throw new LocalError("only a room sees what you do");
  const most = limits()?.text_chars ?? 0;
  const chars = [...text].length;
  if (most > 0 && chars > most) {
    const [is, may] = [chars.toLocaleString("en"), most.toLocaleString("en")];
    throw new LocalError(`a message has at most ${may} characters; this one has ${is}`);
  }
  const id = connection.say(
    where.kind === "room"
      ? { type: "say", room: where.name, text, emote, re: to?.seq }
      : { type: "tell", nick: where.name, text },
  );
  const quote = to && { nick: to.nick, text: to.text.slice(0, 60) };
  const { text: said } = connection.protocol.unacknowledged.get(id);
  where.pending.set(id, { text: said, emote, re: to?.seq, quote });
  setMark(where, null);
  saveNow(); // so that the id is never given again, whatever becomes of this tab
  draw("pending");
  return id;
}

/** What was pending has its place; the message it was. */
function received(id) {
  unplaced.delete(id);
  for (const each of conversations.values()) {
    const message = each.pending.get(id);
    if (message !== undefined) {
      each.pending.delete(id);
      draw("pending");
      return { where: each, message };
    }
  }
  return null;
}

function ownReceived(notice) {
  const found = received(notice.id);
  if (found === null) return;
  const { where, message } = found;
  const isToMe = where.kind === "direct" && nameKey(where.name) === nameKey(me());
  if (isToMe) return continuePaste(notice.id); // one is told it, too
  const item = { nick: me(), at: notice.at, seq: notice.seq ?? 0, ...message };
  addSaid(where, item);
  if (notice.away) note(where, [{ nick: where.name }, ` is ${away(notice.away)}`]);
  if (where.kind === "direct") keepDirects();
  continuePaste(notice.id);
}

// ── What was said before

async function older(where, limit = PAGE_MESSAGES) {
  if (where.isLoading || !where.hasOlder || connection.state === "closed") return false;
  if (!connection.protocol.rooms.has(where.name)) return false;
  where.isLoading = true;
  const request = { type: "history", room: where.name, limit };
  if (where.oldest !== null) request.before = where.oldest;
  const page = await connection.ask(request);
  where.isLoading = false;
  // Asked without a place to begin at, it may tell only what has come meanwhile: then ask again.
  const isBefore = (request.before ?? null) === where.oldest;
  if (page.type !== "history") {
    where.hasOlder = false;
    where.addOlder([{ kind: "note", at: Date.now(), parts: [page.text], error: true }]);
  } else {
    const messages = page.messages.filter((each) => where.oldest === null || each.seq < where.oldest);
    where.hasOlder = page.more && (messages.length > 0 || !isBefore);
    if (messages.length > 0) where.oldest = messages[0].seq;
    where.addOlder(messages.filter((each) => !isIgnored(each.nick)).map(old));
  }
  if (where === current) log.update({ isOld: true }); // also where nobody looks: it comes once
  return page.type === "history";
}

// ── Conversations, one after the other

function look(where) {
  if (where === undefined) return;
  closeDrawers();
  if (where !== current) {
    if (current !== null) {
      current.draft = prompt.text;
      current.mark = null;
    }
    current = where;
    log.show(where);
    log.drawPending();
    prompt.text = where.draft;
    if (where.kind === "room") {
      history.replaceState(null, "", `#${encodeURIComponent(where.name)}`);
      keep("localStorage", "room", where.name);
    } else history.replaceState(null, "", location.pathname);
  }
  for (const text of untold.splice(0)) note(where, text, { error: true });
  read();
  drawSide();
  drawPeople();
  draw("log");
  if (!matchMedia("(pointer: coarse)").matches) prompt.focus();
  saveSoon();
}

function step(by) {
  const all = listed();
  look(all[(all.indexOf(current) + by + all.length) % all.length]);
}

function leaveConversation(where) {
  if (where.kind === "room") return ask({ type: "out", room: where.name });
  close(where);
  keepDirects();
  if (where === current) {
    current = null;
    look(listed()[0]);
    if (current === null) showEntrance();
  } else draw("side");
}

async function joinRoom(name, code = "") {
  const known = joined().find((each) => roomKey(each.name) === roomKey(name));
  if (known) {
    look(known);
    return null;
  }
  isWanted.add(roomKey(name));
  const answer = await ask({ type: "join", room: name, code });
  isWanted.delete(roomKey(name));
  return answer;
}

addEventListener("hashchange", () => {
  const code = takeCode();
  if (code !== "") return claimGiven(code);
  const room = hashRoom();
  if (room === "") return;
  if (isIn) joinRoom(room);
  else $("room").value = room;
});

/** Ask, and tell what is wrong with what cannot be asked. */
async function ask(request) {
  try {
    return await connection.ask(request);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    tellBelow(error.message);
    return { type: "rejected", reason: "too-long", text: error.message, request: request.type };
  }
}

// ── What is typed

const isIgnored = (nick) => nick !== me() && ignored.has(nameKey(nick));

function ignore(nick) {
  if (nick === "") return note(current, `you ignore ${[...ignored.values()].join(", ") || "nobody"}`);
  ignored.set(nameKey(nick), nick);
  note(current, `${nick} is ignored until you /unignore ${nick}`);
  keep("sessionStorage", "ignored", [...ignored]);
}

function unignore(nick) {
  const was = ignored.delete(nameKey(nick));
  note(current, was ? `${nick} is shown again` : `${nick} was not ignored`);
  keep("sessionStorage", "ignored", [...ignored]);
}

/** Do what a line says; whether it can leave the prompt. */
function typed(line) {
  const request = parseLine(line);
  if (request === null) return true;
  const room = current?.kind === "room" ? current.name : "";
  switch (request.type) {
    case "rejected":
      tellBelow(request.text);
      return false;
    case "say":
      sayTo(current, request.text, request.emote, request.back && answered(current, request.back));
      return true;
    case "tell": {
      const where = conversation("direct", request.nick);
      sayTo(where, request.text);
      look(where);
      return true;
    }
    case "join":
      joinRoom(request.room, request.code);
      return true;
    case "quit":
      goodbye(request.reason);
      return true;
    case "rooms":
      showRooms();
      return true;
    case "search":
      search.open(line.slice(line.indexOf(" ") + 1).trim());
      return true;
    case "help":
      return help(request.command);
    case "ignore":
      ignore(request.nick);
      return true;
    case "unignore":
      unignore(request.nick);
      return true;
    case "history":
      older(current, request.limit ?? 20);
      return true;
    case "out":
      if (current.kind === "direct" && request.room === "") leaveConversation(current);
      else ask({ ...request, room: request.room || room });
      return true;
    case "claim":
      claimWith(request.code, request.name);
      return true;
    default:
      // What is about the whole server is about no room.
      ask("room" in request && !request.server ? { ...request, room: request.room || room } : request);
      return true;
  }
}

function help(word) {
  if (word === "") {
    const rows = [...COMMANDS, ...LOCAL_COMMANDS].flatMap((each) => [
      element("dt", "", element("code", "", each.usage)),
      element("dd", "", each.summary),
    ]);
    $("help").replaceChildren(...rows);
    $("help-dialog").showModal();
    return true;
  }
  const lines = helpLines(word);
  if (!Array.isArray(lines)) {
    tellBelow(lines.text);
    return false;
  }
  for (const each of lines) note(current, each);
  return true;
}

/** Do what a line says, and tell what is wrong with it; whether it can leave the prompt. */
function entered(line) {
  if (current === null) return false;
  try {
    if (!typed(line)) return false;
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    tellBelow(error.message);
    return false;
  }
  said = "";
  log.toEnd();
  return true;
}

const prompt = new Prompt(
  $("text"),
  {
    entered,
    names: () => [
      nicks(),
      [...new Set([...joined().map((each) => each.name), ...offeredRooms])],
      [...ignored.values()],
    ],
    pasted: askAboutPaste,
    changed: saveSoon,
    fitted: () => log.resized(),
    page: (direction) => $("scroller").scrollBy({ top: direction * 0.9 * $("scroller").clientHeight }),
    offered: (texts) => tellBelow(texts.slice(0, 12).map((each) => each.trim()).join("  "), 3_000),
  },
  stringsOf(kept("sessionStorage", "typed")),
);

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  prompt.enter();
  prompt.focus();
});

/** Who can be meant: those who spoke last, then all in the room. */
function nicks() {
  const members = connection.protocol.rooms.get(current.name)?.members ?? [current.name];
  return [...new Set([...current.speakers, ...members])].filter((nick) => nick !== me());
}

document.addEventListener("keydown", (event) => {
  if (!isIn || event.isComposing || document.querySelector("dialog[open]")) return;
  if (event.altKey && !event.ctrlKey && !event.metaKey) {
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      step(event.key === "ArrowUp" ? -1 : 1);
    } else if (/^Digit[1-9]$/.test(event.code)) {
      event.preventDefault();
      look(listed()[Number(event.code.slice(5)) - 1]);
    }
    return;
  }
  if (event.key === "Escape") {
    closeDrawers();
    log.toEnd();
    prompt.focus();
    return;
  }
  // Who begins to type talks.
  const isTyped = event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.key !== " ";
  if (isTyped && !["TEXTAREA", "INPUT"].includes(document.activeElement?.tagName)) prompt.focus();
});

// ── A wall of text that was pasted

function askAboutPaste(lines) {
  if (pasted !== null) return tellBelow("a paste is being sent already");
  pasted = { where: current, lines, sent: 0, waitsFor: null, agreed: false };
  $("wall-text").textContent = `Say these ${lines.length} lines to ${current.name}?`;
  $("wall-yes").hidden = false;
  $("wall-no").textContent = "No";
  $("wall").hidden = false;
  $("wall-yes").focus();
}

$("wall-yes").addEventListener("click", () => {
  pasted.agreed = true;
  $("wall-yes").hidden = true;
  $("wall-no").textContent = "Stop";
  prompt.focus();
  nextOfPaste();
});

$("wall-no").addEventListener("click", () => stopPaste());
$("wall").addEventListener("keydown", (event) => event.key === "Escape" && stopPaste());

const pasteProgress = () => `Sending ${pasted.sent} of ${pasted.lines.length} lines …`;

/** The next line goes when the one before has its receipt. */
function continuePaste(id) {
  if (pasted?.waitsFor === id) nextOfPaste();
}

function nextOfPaste() {
  if (pasted.sent === pasted.lines.length) return endPaste();
  try {
    pasted.waitsFor = sayTo(pasted.where, pasted.lines[pasted.sent++]);
    $("wall-text").textContent = pasteProgress();
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    stopPaste();
    tellBelow(error.message);
  }
}

function stopPaste() {
  if (pasted === null) return;
  const { agreed, sent, lines } = pasted;
  endPaste();
  if (agreed) tellBelow(`Stopped; ${sent} of ${lines.length} lines were sent.`);
}

function endPaste() {
  pasted = null;
  $("wall").hidden = true;
  prompt.focus();
  drawStatus();
}

// ── Rooms there are

let offeredRooms = [];

function drawRooms({ rooms, more }) {
  offeredRooms = rooms.map((each) => each.room);
  for (const [list, act] of [
    ["offered-rooms", (room) => enterWith(room)],
    ["room-list", (room) => joinFromDialog(room)],
  ]) {
    const rows = rooms.map(({ room, members, topic }) => {
      const button = element("button", "plain", element("bdi", "name", room));
      button.type = "button";
      const people = members === 1 ? "1 person" : `${members.toLocaleString("en")} people`;
      button.append(" ", element("span", "quiet", people));
      if (topic) button.append(" ", textOnly(topic));
      button.addEventListener("click", () => act(room));
      return element("li", "", button);
    });
    if (more > 0) rows.push(element("li", "quiet", `… and ${more} more`));
    $(list).replaceChildren(...rows);
  }
  $("offered").hidden = rooms.length === 0;
  if ($("room").value === "" && !isIn) $("room").value = offeredRooms[0] ?? FIRST_ROOM;
}

function textOnly(text) {
  const made = element("span", "about", text);
  made.dir = "auto";
  return made;
}

function showRooms() {
  closeDrawers();
  ask({ type: "rooms" });
  $("join-error").textContent = "";
  $("join-room").value = "";
  $("room-dialog").showModal();
  $("join-room").focus();
}

$("more-rooms").addEventListener("click", showRooms);
$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  joinFromDialog($("join-room").value.trim());
});

async function joinFromDialog(room) {
  if (room === "") return;
  const answer = await joinRoom(room);
  if (answer?.type === "rejected") $("join-error").textContent = answer.text;
  else $("room-dialog").close();
}

// ── Search

const search = new Search({ ask, show: goTo });

$("show-search").addEventListener("click", () => search.open());

/** Show a message where it was said, page by page if need be. */
async function goTo({ room, seq }) {
  look(conversation("room", room));
  const where = current;
  for (let page = 0; page < FAR_PAGES && where === current; page++) {
    if (log.toMessage(seq)) return;
    if (!(await older(where, FAR_MESSAGES))) break;
  }
  tellBelow("It is too far back to be shown here.");
}

// ── Notifications

const canNotify = "Notification" in window && window.isSecureContext;

function drawNotify() {
  $("notify").hidden = !canNotify || Notification.permission === "denied";
  const isOn = wantsNotices && canNotify && Notification.permission === "granted";
  $("notify").textContent = isOn ? "Notify me: on" : "Notify me";
  $("notify").setAttribute("aria-pressed", String(isOn));
  return isOn;
}

$("notify").addEventListener("click", async () => {
  wantsNotices = drawNotify() ? false : (await Notification.requestPermission()) === "granted";
  keep("localStorage", "notify", wantsNotices);
  drawNotify();
});

function notify(where, nick, text) {
  if (!wantsNotices || !canNotify || Notification.permission !== "granted") return;
  const title = where.kind === "room" ? `${nick} in ${where.name}` : nick;
  try {
    const shown = new Notification(title, { body: text.slice(0, 200), tag: keyOf(where.kind, where.name) });
    shown.onclick = () => {
      window.focus();
      look(where);
      shown.close();
    };
  } catch {
    wantsNotices = false; // phones want a service worker for that, which this page has not
  }
}

// ── Drawers on narrow screens

for (const [button, drawer] of [
  ["show-side", "side"],
  ["show-people", "people"],
]) {
  $(button).addEventListener("click", () => {
    const isOpen = !$("app").classList.contains(`${drawer}-open`);
    closeDrawers();
    $("app").classList.toggle(`${drawer}-open`, isOpen);
    $(button).setAttribute("aria-expanded", String(isOpen));
    if (isOpen) $(drawer).querySelector("button:not([hidden])")?.focus();
  });
}

$("talk").addEventListener("click", (event) => {
  if (!event.target.closest("header")) closeDrawers();
});

function closeDrawers() {
  $("app").classList.remove("side-open", "people-open");
  $("show-side").setAttribute("aria-expanded", "false");
  $("show-people").setAttribute("aria-expanded", "false");
}

// ── The entrance

function showEntrance() {
  isIn = false;
  $("app").hidden = true;
  document.title = "tcpchat";
  if (account === "" && me() !== "" && !me().startsWith("guest-")) $("nick").value ||= me();
  $("nick").placeholder = me();
  openEntrance();
}

function showApp() {
  if (isIn) return;
  isIn = true;
  $("entrance").hidden = true;
  $("app").hidden = false;
  drawNotify();
}

function entrancePassed() {
  if (connection.state === "closed") return location.reload(); // one was not let in: try again
  if (!$("password-field").hidden) {
    connection.usePassword($("password").value);
    $("enter-error").textContent = "";
    // All is said that has to be.
    isReturning = $("nick").value.trim() !== "" || $("nick-field").hidden;
  } else if (connection.protocol.welcome === null) {
    isReturning = true; // the server may want a password first
  } else {
    enterWith($("room").value.trim() || FIRST_ROOM);
  }
}

let refused = null; // while one comes in: why one does not into some of the rooms

/** Come in: into this room, which is shown, and into those where one was the last time. */
async function enterWith(room) {
  if (claiming !== null) await claiming;
  $("enter-error").textContent = "";
  const nick = account === "" ? $("nick").value.trim() : "";
  if (nick !== "" && nick !== me()) {
    const answer = await ask({ type: "nick", nick });
    if (answer.type === "rejected") return notIn(answer.text, "nick");
    keep("localStorage", "nick", answer.new);
  }
  const rooms = roomsToGoBackTo();
  if (!rooms.some((each) => roomKey(each) === roomKey(room))) rooms.push(room);
  isWanted.add(roomKey(room));
  refused = [];
  await Promise.all(rooms.map((each) => ask({ type: "join", room: each })));
  const texts = refused;
  refused = null;
  isWanted.delete(roomKey(room));
  if (!isIn && joined().length === 0) return notIn(texts.at(-1), "room");
  if (!isIn) {
    showApp();
    look(joined()[0]);
  }
  for (const text of texts) note(current, text, { error: true });
}

function notIn(text, field) {
  showEntrance();
  $("enter-error").textContent = [...untold, text].join(" ");
  $(field).focus();
  $(field).select();
}

function goBack() {
  isReturning = false;
  if ($("entrance").hidden) $("nick").value ||= keptText("nick");
  const typed = $("room").value.trim();
  enterWith(typed || hashRoom() || keptText("room") || FIRST_ROOM);
}

function passwordNeeded(text) {
  showEntrance();
  $("password-field").hidden = false;
  $("enter-error").textContent = text;
  $("password").value = "";
  $("password").focus();
}

function rememberRooms() {
  keep("localStorage", "rooms", [...connection.protocol.rooms.keys()].slice(0, MAX_GONE_BACK_TO));
}

function goodbye(reason = "") {
  connection.quit(reason);
  keep("localStorage", "rooms", []);
  for (const name of ["session", "directs", "typed", "ignored"]) keep("sessionStorage", name, null);
  draw("side");
}

$("leave").addEventListener("click", () => goodbye());

// ── A reload

let saving = 0;

function saveSoon() {
  saving ||= setTimeout(saveNow, SAVE_MS);
}

function saveNow() {
  clearTimeout(saving);
  saving = 0;
  if (connection === null || connection.state === "closed") return;
  const { protocol } = connection;
  if (!protocol.welcome?.token) return;
  const drafts = [...conversations].map(([key, each]) => [key, each.draft]);
  if (current !== null) drafts.push([keyOf(current.kind, current.name), prompt.text]);
  const session = {
    tab,
    account,
    protocol: protocol.saved(),
    current: current && keyOf(current.kind, current.name),
    hasArchive,
    drafts: drafts.filter(([, draft]) => draft !== ""),
  };
  if (!keep("sessionStorage", "session", session)) {
    keep("sessionStorage", "directs", null); // is there room then?
    keep("sessionStorage", "session", session);
  }
  keep("sessionStorage", "typed", prompt.recalled);
}

function save() {
  saveNow();
  keepDirects();
}

/** A server gives the messages of rooms again, but not those that were for one alone. */
function keepDirects() {
  if (connection === null || connection.state === "closed") return;
  const all = directs().map((each) => [
    each.name,
    each.items.filter(({ kind }) => kind === "said").slice(-MAX_KEPT_DIRECTS),
  ]);
  keep("sessionStorage", "directs", all);
}

addEventListener("pagehide", save);

// A page that Back brings as it was: another of this tab may have gone on with the session since.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

/** The session that this tab had before it was loaded anew; null when there is none. */
async function restore() {
  const session = kept("sessionStorage", "session");
  const protocol = ClientProtocol.restored(session?.protocol);
  tab = protocol !== null && typeof session.tab === "string" ? session.tab : "";
  if (tab && (await claim(tab))) return { ...session, protocol };
  keep("sessionStorage", "session", null);
  keep("sessionStorage", "directs", null);
  tab = Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2);
  await claim(tab);
  return null;
}

async function start() {
  if (document.prerendering) {
    await new Promise((resolve) => document.addEventListener("prerenderingchange", resolve, { once: true }));
  }
  const session = await restore();
  const url = new URL("ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  const protocol = session?.protocol ?? new ClientProtocol();
  protocol.device = keptText("device");
  connection = new Connection(url, protocol, {
    heard,
    passwordNeeded: (text) => passwordNeeded(text),
    changed: () => {
      if (connection === null) return;
      if (!$("password-field").hidden && connection.state === "connected") {
        $("password-field").hidden = true;
      }
      draw("status");
      saveSoon();
    },
  });
  if (session) restoreConversations(session);
  isReturning = !isIn && goesBack();
  if (codeGiven !== "") claimGiven(codeGiven);
  onEnter(entrancePassed);
  // Who is in at once sees no entrance on the way.
  setTimeout(() => isIn || showEntrance(), isReturning ? RETURN_MS : 0);
  connection.open();
  draw("status");
}

function restoreConversations({ protocol, current: key, drafts, ...session }) {
  epoch = protocol.epoch;
  account = typeof session.account === "string" ? session.account : "";
  hasArchive = session.hasArchive === true;
  for (const [name, items] of pairsOf(kept("sessionStorage", "directs"))) {
    const where = conversation("direct", name);
    for (const item of arrayOf(items)) if (isMessage(item)) where.add(item);
  }
  for (const name of connection.protocol.rooms.keys()) conversation("room", name);
  for (const message of protocol.unacknowledged.values()) {
    const [kind, name] = message.type === "say" ? ["room", message.room] : ["direct", message.nick];
    const { text, emote = false } = message;
    conversation(kind, name).pending.set(message.id, { text, emote });
  }
  for (const [each, draft] of pairsOf(drafts)) {
    if (conversations.has(each)) conversations.get(each).draft = String(draft);
  }
  if (conversations.has(key)) {
    showApp();
    look(conversations.get(key));
  }
}

start();
