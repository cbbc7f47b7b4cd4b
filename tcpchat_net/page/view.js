// What a conversation looks like: its rows, and the part of them that stands in the document.
//
// Rule 1: Text is text: it comes in by textContent, never as markup. The only active thing is a
//         link to http or https.
//
// Rule 2: At most MAX_ROWS rows stand in the document, however much was said. Rows come and go at
//         both ends as one scrolls, and what one reads does not move.
//
// Rule 3: Only what is new is told to who listens: what was said before is put into the log while
//         it is not live, and what comes meanwhile is told afterwards.

import { nickColour, pieces } from "./commands.js";

const MAX_ROWS = 400; // some ten screens
const END_ROWS = 100; // … and so many while one is at the end and more comes, which has to be quick
const STEP_ROWS = 50; // how many come at a time as one scrolls
const NEAR_PX = 800; // how near the end of what is shown they come
const BOTTOM_PX = 40; // as near as this to the end is to be there
const GROUP_MS = 5 * 60_000; // for so long a nick need not be repeated …
const GROUP_ROWS = 12; // … and for so many messages, so that it is seen who talks
const MAX_SINGLY = 3; // so many comings and goings are told one by one …
const MAX_NAMES = 3; // … and so many names stand in the one line for all
const QUIET_MS = 500; // for so long the log is not live, so that nothing old is read out
const MAX_KEPT = 20_000; // rows of a conversation; older ones are in the server's archive

/** An element with a class and children; a string is text. */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A nick in its colour. */
export function nickElement(nick) {
  return element("bdi", `nick n${nickColour(nick)}`, nick);
}

const DAY = new Intl.DateTimeFormat("en", {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
});
const EXACT = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "medium" });
const two = (number) => String(number).padStart(2, "0");
const isTime = (at) => Math.abs(at) <= 8.64e15; // what a Date can hold

export function clock(at) {
  const when = new Date(at);
  return isTime(at) ? `${two(when.getHours())}:${two(when.getMinutes())}` : "--:--";
}

export function date(at) {
  const when = new Date(at);
  if (!isTime(at)) return "----";
  return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
}

function timeElement(at) {
  const made = element("time", "", clock(at));
  if (isTime(at)) {
    made.dateTime = new Date(at).toISOString();
    made.title = EXACT.format(at);
  }
  return made;
}

/** What somebody wrote, as what stands in an element: texts and links. */
export function linked(text) {
  return pieces(text).map(({ text: piece, href }) => {
    if (href === null) return piece;
    const link = element("a", "", piece);
    link.href = href;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return link;
  });
}

/** A text with its links. */
export function textElement(text) {
  const made = element("span", "text", ...linked(text));
  made.dir = "auto";
  return made;
}

// ── Conversations

/**
 * A room, or what is said between two people: what was said in it, oldest first.
 *
 * `items` are `{kind: "said", seq, at, nick, text, emote, notice, own, mention}`; `{kind: "note",
 * at, parts, error}`, where parts are the page's own words, nicks as `{nick}`, and others' words as
 * `{text}`; `{kind: "presence", at, first, kinds, version}`, of so many changes: the first ones,
 * and how many there are of a kind; and `{kind: "gap", at, parts}`. A place is
 * an item's number for as long as it is kept; `start` is that of the first one.
 */
export class Conversation {
  constructor(kind, name) {
    this.kind = kind; // "room" or "direct"
    this.name = name;
    this.items = [];
    this.start = 0;
    this.oldest = null; // the number of the oldest message that is here
    this.hasOlder = kind === "room"; // whether to ask for what was said before it
    this.isLoading = false;
    this.pending = new Map(); // by id: what was said and has no receipt yet
    this.epoch = ""; // of the numbers in it
    this.last = null; // the highest of them
    this.unread = 0;
    this.mentions = 0;
    this.mark = null; // the place of the first message that was not read
    this.read = 0; // up to which number a device of one's account has read it, as the server knows
    this.seen = 0; // … and up to which it was seen here
    this.telling = 0; // the timer that tells the server so
    this.toldAt = -Infinity; // when it did last
    this.draft = "";
    this.speakers = []; // the last one first
    this.top = null; // where one was reading, as `{place, px}`; null at the end
  }

  get end() {
    return this.start + this.items.length;
  }

  at(place) {
    return this.items[place - this.start];
  }

  add(item) {
    this.items.push(item);
    if (this.items.length > MAX_KEPT) {
      const dropped = this.items.splice(0, MAX_KEPT / 10);
      this.start += dropped.length;
      const first = this.items.find((each) => each.kind === "said");
      this.oldest = first?.seq ?? this.oldest;
      this.hasOlder = this.kind === "room";
    }
  }

  addOlder(items) {
    this.items.unshift(...items);
    this.start -= items.length;
  }

  /** Somebody came, went, or took another name: told together with what happened just before. */
  addChange(change, at) {
    let item = this.items.at(-1);
    if (item?.kind !== "presence") {
      this.add((item = { kind: "presence", at, first: [], kinds: new Map(), version: 0 }));
    }
    const { what, nick, to } = change;
    if (!item.kinds.has(what)) item.kinds.set(what, { count: 0, nicks: [] });
    const kind = item.kinds.get(what);
    kind.count += 1;
    if (kind.nicks.length < MAX_NAMES) kind.nicks.push(to ?? nick);
    if (item.first.length < MAX_SINGLY) item.first.push(change);
    item.version += 1;
  }

  spoke(nick) {
    this.speakers = [nick, ...this.speakers.filter((each) => each !== nick)].slice(0, 50);
  }
}

// ── Rows

/** What happened, in pieces: texts, and `{nick}`. */
function changeParts({ first, kinds, version }) {
  if (version <= MAX_SINGLY) {
    return first.flatMap((change, place) => [...(place > 0 ? [" · "] : []), ...single(change)]);
  }
  return [...kinds].flatMap(([what, { count, nicks }], place) => [
    `${place > 0 ? ", " : ""}${count} ${what} (`,
    ...named(nicks, count),
    ")",
  ]);
}

function single({ what, nick, to, reason, told }) {
  if (told) return [{ nick }, ` ${told}`];
  if (what === "renamed") return [{ nick }, " is now ", { nick: to }];
  const is = ["gone", "away", "back"].includes(what) ? "is " : "";
  return [{ nick }, ` ${is}${what}${reason ? ` (${reason})` : ""}`];
}

function named(nicks, count) {
  const listed = nicks.flatMap((nick, place) => [...(place > 0 ? [", "] : []), { nick }]);
  const more = count - nicks.length;
  return more > 0 ? [...listed, ` and ${more} more`] : listed;
}

const partElements = (parts) =>
  parts.map((part) => {
    if (typeof part === "string") return part;
    return part.text === undefined ? nickElement(part.nick) : element("bdi", "", ...linked(part.text));
  });

function row(item, before) {
  switch (item.kind) {
    case "said":
      return saidRow(item, before);
    case "presence":
      return noteRow(item, changeParts(item), "presence");
    case "gap":
      return element("div", "rule gap", element("span", "", ...partElements(item.parts)));
    default:
      return noteRow(item, item.parts, item.error ? "error" : "");
  }
}

function noteRow(item, parts, className) {
  const text = element("span", "text", ...partElements(parts));
  return element("div", `row note ${className}`, timeElement(item.at), element("span", "who"), text);
}

// In the place of a text that is not to be shown any more.
const TAKEN_BACK = "(taken back)";

function saidRow(item, before) {
  const isGoingOn =
    before?.kind === "said" &&
    before.nick === item.nick &&
    !item.emote &&
    !before.emote &&
    !item.notice === !before.notice &&
    (item.seq === 0 || item.seq % GROUP_ROWS !== 0) &&
    item.at - before.at < GROUP_MS &&
    date(item.at) === date(before.at);
  const kinds = [
    isGoingOn ? "more" : "first",
    item.own ? "own" : "",
    item.mention ? "mention" : "",
    item.emote ? "emote" : item.notice ? "notice" : "",
    item.redacted ? "redacted" : "",
  ];
  const who = element("span", "who", nickElement(item.nick));
  who.title = item.nick;
  const text = textElement(item.redacted ? TAKEN_BACK : item.text);
  if (item.re) text.prepend(quoteElement(item));
  const made = element(
    "div",
    `row said ${kinds.filter(Boolean).join(" ")}`,
    timeElement(item.at),
    who,
    " ",
    text,
  );
  if (item.seq) made.dataset.seq = item.seq;
  return made;
}

const EARLIER = "to an earlier message";

/** What a message answers, in a line of its own. */
function quoteElement({ re, quote }) {
  const parts = quote ? ["to ", nickElement(quote.nick), ": ", element("bdi", "", quote.text)] : [EARLIER];
  const made = element("button", "quote", ...parts);
  made.dataset.re = re;
  return made;
}

// ── The part of them that is shown

/**
 * The log of the conversation that is looked at. `hooks.older(conversation)` is called when what
 * was said before is wanted, `hooks.show({room, seq})` when a message is.
 */
export class Log {
  constructor(scroller, list, pendingList, latest, hooks) {
    this._scroller = scroller;
    this._list = list;
    this._pendingList = pendingList;
    this._latest = latest;
    this._hooks = hooks;
    this.conversation = null;
    this._from = 0; // the places that are shown: from here …
    this._to = 0; // … to before here
    this._isAtEnd = true;
    this._seenEnd = 0; // what comes after this was not shown yet
    this._rows = new Map(); // by place: its elements, and what they were made of
    this._toldEnd = 0; // what comes after this is new to who listens
    this._quiet = 0;
    scroller.addEventListener("scroll", () => this._scrolled(), { passive: true });
    latest.addEventListener("click", () => this.toEnd());
    list.addEventListener("click", ({ target }) => {
      const seq = Number(target.closest(".quote")?.dataset.re);
      if (seq) hooks.show({ room: this.conversation.name, seq });
    });
    this._height = 0; // of the scroller, as it was last at its end or read in
    new ResizeObserver(() => this.resized()).observe(scroller);
  }

  /** Show a conversation, where one was in it. */
  show(conversation) {
    if (this.conversation !== null) this.conversation.top = this._isAtEnd ? null : this._anchor();
    this.conversation = conversation;
    this._toldEnd = conversation.end;
    this._silently(() => {
      this._clear();
      const { top } = conversation;
      if (top !== null && top.place >= conversation.start) {
        this._from = Math.max(conversation.start, top.place - STEP_ROWS);
        this._to = this._from;
        this._extendDown(MAX_ROWS / 2);
        this._isAtEnd = false;
        this._seenEnd = conversation.end;
        this._restore(top);
      } else this._fromEnd();
    });
    this._after();
  }

  /** Rows came: at the upper end when they are old, and not to be told of when it is quiet. */
  update({ isOld = false, isQuiet = false } = {}) {
    if (this.conversation === null) return;
    if (isOld) {
      this._silently(() => {
        this._dropForgotten();
        const place = this._isAtEnd ? null : this._anchor();
        this._extendUp(STEP_ROWS);
        this._refresh(this._from); // it may be the first of all now, and have its day above it
        if (place === null) this._follow();
        else this._restore(place);
      });
    } else if (isQuiet) {
      this._toldEnd = this.conversation.end;
      this._silently(() => this._extend());
    } else {
      this._extend();
      this._told();
    }
    this._after();
  }

  /** Whether the latest is shown. */
  get isAtEnd() {
    return this._isAtEnd && this._to === this.conversation?.end;
  }

  /** Go to the latest. */
  toEnd() {
    if (this._isAtEnd && this._to === this.conversation.end) this._scrollToEnd();
    else this._silently(() => this._fromEnd());
    this._after();
  }

  /** The message with this number was taken back: it is not shown any more. */
  strike(seq) {
    for (const made of this._list.querySelectorAll(`[data-re="${seq}"]`)) made.textContent = EARLIER;
    for (const made of this._list.querySelectorAll(`[data-seq="${seq}"]`)) {
      made.classList.add("redacted");
      made.querySelector(".text").replaceWith(textElement(TAKEN_BACK));
    }
  }

  /** Show the message with this number, if it is here; whether it is. */
  toMessage(seq) {
    const { items, start } = this.conversation;
    const index = items.findIndex((item) => item.kind === "said" && item.seq === seq);
    if (index < 0) return false;
    this._silently(() => {
      this._clear();
      this._from = this._to = Math.max(start, start + index - STEP_ROWS / 2);
      this._extendDown(STEP_ROWS);
      this._isAtEnd = false;
      const found = this._rows.get(start + index).elements.at(-1);
      found.scrollIntoView({ block: "center" });
      found.classList.add("found");
    });
    this._after();
    return true;
  }

  /** The room for it changed: who was at the end still is. */
  resized() {
    this._height = this._scroller.clientHeight;
    if (this._isAtEnd) this._scrollToEnd();
  }

  /** Nothing is marked as new any more, until it is drawn so. */
  unmark() {
    for (const drawn of this._rows.values()) {
      const mark = drawn.elements.find((each) => each.classList.contains("new"));
      if (mark === undefined) continue;
      mark.remove();
      drawn.elements = drawn.elements.filter((each) => each !== mark);
    }
  }

  // ── Inside

  /** Change the log without its being told. */
  _silently(act) {
    this._list.setAttribute("aria-live", "off");
    act();
    clearTimeout(this._quiet);
    this._quiet = setTimeout(() => this._aloud(), QUIET_MS);
  }

  /** The log is live again. What is new and was put into it meanwhile is put there again. */
  _aloud() {
    this._list.setAttribute("aria-live", "polite");
    for (let place = Math.max(this._toldEnd, this._from); place < this._to; place++) {
      this._refresh(place);
    }
    this._told();
  }

  /** What is shown has been told, if the log is live. */
  _told() {
    if (this._list.getAttribute("aria-live") === "off") return;
    this._toldEnd = Math.max(this._toldEnd, this._to);
  }

  _clear() {
    this._list.replaceChildren();
    this._rows.clear();
  }

  _fromEnd() {
    this._clear();
    const { start, end } = this.conversation;
    this._from = this._to = Math.max(start, end - END_ROWS);
    this._extendDown(Infinity);
    this._isAtEnd = true;
    this._scrollToEnd();
  }

  /** Show what came at the end, as far as one who reads further up has room for it. */
  _extend() {
    this._dropForgotten();
    this._refreshLast();
    if (this._isAtEnd) this._follow();
    else if (this._to - this._from < MAX_ROWS) this._extendDown(STEP_ROWS);
  }

  /** Show what came at the end to who is there; of more than can be read, the last. */
  _follow() {
    if (this.conversation.end - this._to > END_ROWS) return this._fromEnd();
    this._extendDown(Infinity);
    this._trimTop(END_ROWS + STEP_ROWS);
    this._scrollToEnd();
  }

  _elements(place) {
    const { conversation } = this;
    const item = conversation.at(place);
    const before = conversation.at(place - 1);
    const elements = [];
    const isNewDay = isTime(item.at) && (before === undefined || date(before.at) !== date(item.at));
    if (isNewDay && (before !== undefined || !conversation.hasOlder)) {
      elements.push(element("div", "rule day", element("span", "", DAY.format(item.at))));
    }
    if (place === conversation.mark) {
      elements.push(element("div", "rule new", element("span", "", "new")));
    }
    const isParted = elements.length > 0;
    elements.push(row(item, isParted ? undefined : before));
    return { item, version: item.version, before, elements };
  }

  _extendDown(count) {
    const end = Math.min(this.conversation.end, this._to + count);
    if (this._to >= end) return;
    const made = document.createDocumentFragment();
    for (; this._to < end; this._to++) {
      const drawn = this._elements(this._to);
      this._rows.set(this._to, drawn);
      made.append(...drawn.elements);
    }
    this._list.append(made);
    if (this._to === this.conversation.end) this._seenEnd = this._to;
  }

  _extendUp(count) {
    const from = Math.max(this.conversation.start, this._from - count);
    if (from >= this._from) return;
    const made = document.createDocumentFragment();
    for (let place = from; place < this._from; place++) {
      const drawn = this._elements(place);
      this._rows.set(place, drawn);
      made.append(...drawn.elements);
    }
    const seam = this._from;
    this._list.prepend(made);
    this._from = from;
    this._refresh(seam);
  }

  /** Draw a row again whose surroundings, or which itself, changed. */
  _refresh(place) {
    const old = this._rows.get(place);
    if (old === undefined) return;
    const drawn = this._elements(place);
    old.elements[0].before(...drawn.elements);
    for (const each of old.elements) each.remove();
    this._rows.set(place, drawn);
  }

  /** Comings and goings are told in one row, which grows. */
  _refreshLast() {
    const drawn = this._rows.get(this._to - 1);
    if (drawn !== undefined && drawn.item.version !== drawn.version) this._refresh(this._to - 1);
  }

  _remove(place) {
    for (const each of this._rows.get(place)?.elements ?? []) each.remove();
    this._rows.delete(place);
  }

  _trimTop(most = MAX_ROWS) {
    while (this._to - this._from > most) this._remove(this._from++);
  }

  /** What the conversation keeps no longer is not shown: of all that was, maybe nothing is left. */
  _dropForgotten() {
    const { start } = this.conversation;
    if (this._to < start) {
      this._clear();
      this._from = this._to = start;
    }
    while (this._from < start) this._remove(this._from++);
  }

  _trimBottom() {
    while (this._to - this._from > MAX_ROWS) this._remove(--this._to);
  }

  /** The first row that can be seen, and how far below the upper edge it is. */
  _anchor() {
    const edge = this._scroller.getBoundingClientRect().top;
    for (let place = this._from; place < this._to; place++) {
      const box = this._rows.get(place)?.elements.at(-1).getBoundingClientRect();
      if (box && box.bottom > edge) return { place, px: box.top - edge };
    }
    return null;
  }

  _restore(anchor) {
    const drawn = anchor && this._rows.get(anchor.place);
    if (!drawn) return;
    const edge = this._scroller.getBoundingClientRect().top;
    this._scroller.scrollTop += drawn.elements.at(-1).getBoundingClientRect().top - edge - anchor.px;
  }

  _scrollToEnd() {
    this._scroller.scrollTop = this._scroller.scrollHeight;
  }

  _scrolled() {
    if (this.conversation === null) return;
    const { scrollTop, scrollHeight, clientHeight } = this._scroller;
    if (clientHeight !== this._height) return; // nobody scrolled: the window did, or a keyboard came up
    this._dropForgotten();
    const below = scrollHeight - scrollTop - clientHeight;
    // What came since the last drawing is not below yet: who was at the end still is.
    const isShown = this._isAtEnd || this._to === this.conversation.end;
    this._isAtEnd = below < BOTTOM_PX && isShown;
    if (scrollTop < NEAR_PX && this._from > this.conversation.start) {
      const place = this._anchor();
      this._silently(() => {
        this._extendUp(STEP_ROWS);
        this._trimBottom();
        this._restore(place);
      });
    } else if (!this._isAtEnd && below < NEAR_PX && this._to < this.conversation.end) {
      const place = this._anchor();
      this._silently(() => {
        this._extendDown(STEP_ROWS);
        this._trimTop();
        this._restore(place);
      });
    }
    this._after();
  }

  /** Ask for more where there is room for it, and tell what is below. */
  _after() {
    const { conversation } = this;
    const hidden = conversation.end - this._seenEnd;
    this._latest.hidden = this._isAtEnd;
    this._latest.textContent = hidden > 0 ? `${hidden} new ↓` : "Latest ↓";
    const isNearTop = this._scroller.scrollTop < NEAR_PX;
    if (isNearTop && this._from === conversation.start && conversation.hasOlder) {
      this._hooks.older(conversation);
    }
  }

  /** What was said and has no receipt yet, below the rest. */
  drawPending() {
    const rows = [...this.conversation.pending.values()].map(({ text, emote }) => {
      const made = element("div", "row said pending", element("time", "", "…"));
      made.append(element("span", "who"), textElement(emote ? `* ${text}` : text));
      return made;
    });
    const shown = rows.slice(-20);
    if (rows.length > shown.length) {
      shown.unshift(element("div", "row note", `… and ${rows.length - shown.length} more before`));
    }
    this._pendingList.replaceChildren(...shown);
    if (this._isAtEnd) this._scrollToEnd();
  }
}
