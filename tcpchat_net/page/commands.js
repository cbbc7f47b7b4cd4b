// What is typed, and how names and texts are read: as tcpchat_core/commands.py and the terminal's
// client do. Pure; no DOM.

import { COLOURS, COMMANDS, ELSEWHERE, GAPS, GAP_0, LIKENESS, SEVERAL, STAND } from "./tables.js";
import { sanitize } from "./protocol.js";

export { COMMANDS };

// ── Commands

// What Python's str.split takes for blanks.
const BLANKS = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
const words = (text) => text.split(BLANKS).filter((word) => word !== "");
const strip = (text) =>
  text.replace(new RegExp(`^${BLANKS.source}`), "").replace(new RegExp(`${BLANKS.source}$`), "");

/** What this page does by itself, as the terminal's client does. */
export const LOCAL_COMMANDS = [
  {
    names: ["ignore"],
    usage: "/ignore [NICK]",
    summary: "show nothing of somebody; who is ignored",
    example: "/ignore troll",
  },
  {
    names: ["unignore"],
    usage: "/unignore NICK",
    summary: "show somebody again",
    example: "/unignore troll",
  },
];

class Usage extends Error {}

function oneWord(rest) {
  const all = words(rest);
  if (all.length !== 1) throw new Usage();
  return all[0];
}

const atMostOneWord = (rest) => (rest === "" ? "" : oneWord(rest));

function need(condition) {
  if (!condition) throw new Usage();
}

/** The text before the first space, and the text after it. */
function partition(text) {
  const place = text.indexOf(" ");
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}

/** `WORDS [in ROOM] [from NICK] [since DATE]`, the last three in any order. */
function search(rest) {
  let all = words(rest);
  const given = new Map();
  while (all.length > 2 && ["in", "from", "since"].includes(all.at(-2).toLowerCase())) {
    const [what, value] = all.slice(-2);
    need(!given.has(what.toLowerCase()));
    given.set(what.toLowerCase(), value);
    all = all.slice(0, -2);
  }
  need(all.length > 0);
  const request = { type: "search", words: all.join(" ") };
  request.room = given.get("in") ?? "";
  request.nick = given.get("from") ?? "";
  request.since = given.has("since") ? dayStart(given.get("since")) : 0;
  return request;
}

function dayStart(date) {
  const [, year, month, day] = /^(\d{4})-?(\d\d)-?(\d\d)$/.exec(date) ?? [];
  const iso = `${year}-${month}-${day}`;
  const at = Date.parse(`${iso}T00:00:00Z`);
  need(!Number.isNaN(at) && new Date(at).toISOString().startsWith(iso));
  return at;
}

const UNITS = new Map([["s", 1_000], ["m", 60_000], ["h", 3_600_000], ["d", 86_400_000]]);

/** The milliseconds of `90s`, `10m`, `2h` or `1d`; null for what is no such, or is nothing. */
function duration(text) {
  const [, number, unit] = /^(\d{1,6})([smhd])$/i.exec(text) ?? [];
  return number === undefined ? null : Number(number) * UNITS.get(unit.toLowerCase()) || null;
}

function nickAndMore(rest) {
  const [nick, more] = partition(rest);
  need(nick !== "");
  return [nick, strip(more)];
}

/** What is left of arguments without `--server`, wherever it stands, and what it says. */
function ofServer(rest) {
  const [before, ...after] = ` ${rest} `.split(" --server ");
  if (after.length === 0) return [rest, {}];
  return [strip(`${strip(before)} ${strip(after.join(" --server "))}`), { server: true }];
}

function kick(all) {
  const [rest, server] = ofServer(all);
  const [nick, reason] = nickAndMore(rest);
  return { type: "kick", room: "", nick, reason, ...server };
}

/** `NICK [TIME] [REASON]`: what is no time is a reason already. */
const restrict = (what) => (all) => {
  const [rest, server] = ofServer(all);
  const [nick, more] = nickAndMore(rest);
  const [time, reason] = partition(more);
  const ms = duration(time);
  const given = ms === null ? { ms: 0, reason: more } : { ms, reason: strip(reason) };
  return { type: "restrict", room: "", nick, what, ...given, ...server };
};

function slow(rest) {
  const ms = rest.toLowerCase() === "off" ? 0 : duration(rest);
  need(ms !== null);
  return { type: "mode", room: "", slow_ms: ms };
}

function isOn(rest) {
  const word = rest.toLowerCase();
  need(word === "on" || word === "off");
  return word === "on";
}

const lift = (what) => (all) => {
  const [rest, server] = ofServer(all);
  return { type: "lift", room: "", nick: oneWord(rest), what, ...server };
};

function bans(all) {
  const [rest, server] = ofServer(all);
  need(rest === "");
  return { type: "restrictions", room: "", ...server };
}

function secret(rest) {
  const word = oneWord(rest);
  return { type: "mode", room: "", secret: word.toLowerCase() === "off" ? "" : word };
}

function login(rest) {
  const [word, password] = nickAndMore(rest);
  return password ? { type: "login", account: word, password } : { type: "login", device: word };
}

function number(rest) {
  need(/^\d{1,6}$/.test(rest) && Number(rest) > 0);
  return Number(rest);
}

function password(rest) {
  need(rest !== "");
  return { type: "password", password: rest.toLowerCase() === "off" ? "" : rest };
}

// What stands after these lets whoever knows it come in.
const OF_SECRETS = new Set(["claim", "login", "password", "secret"]);

/** A typed line as it may be typed again: without a code, a token or a word that lets in. */
export function withoutSecrets(line) {
  if (line[0] !== "/") return line;
  const [word, rest] = partition(line.slice(1));
  const name = BY_NAME.get(word.toLowerCase())?.names[0];
  if (OF_SECRETS.has(name)) return `/${word}`;
  return name === "join" ? [`/${word}`, ...words(rest).slice(0, 1)].join(" ") : line;
}

const role = (role) => (rest) => ({ type: "role", room: "", nick: oneWord(rest), role });

// What a command's arguments ask for.
const REQUESTED = new Map([
  [
    "join",
    (rest) => {
      const all = words(rest);
      need(all.length === 1 || all.length === 2);
      return { type: "join", room: all[0], code: all[1] ?? "" };
    },
  ],
  ["nick", (rest) => ({ type: "nick", nick: oneWord(rest) })],
  [
    "out",
    (rest) => {
      const [room, reason] = partition(rest);
      return { type: "out", room, reason: strip(reason) };
    },
  ],
  ["quit", (rest) => ({ type: "quit", reason: rest })],
  ["rooms", (rest) => (need(rest === ""), { type: "rooms" })],
  ["whois", (rest) => ({ type: "whois", nick: oneWord(rest) })],
  ["who", (rest) => ({ type: "who", room: atMostOneWord(rest), names: false })],
  [
    "msg",
    (rest) => {
      const [nick, text] = partition(rest);
      need(strip(text) !== "");
      return { type: "tell", nick, text: strip(text) };
    },
  ],
  ["away", (rest) => ({ type: "away", text: rest })],
  ["name", (rest) => ({ type: "setname", name: rest })],
  ["me", (rest) => (need(rest !== ""), { type: "say", room: "", text: rest, emote: true })],
  [
    "reply",
    (rest) => {
      need(rest !== "");
      const [word, more] = partition(rest);
      const isCounted = more !== "" && /^\d+$/.test(word);
      const [text, back] = isCounted ? [strip(more), number(word)] : [rest, 1];
      return { type: "say", room: "", text, back };
    },
  ],
  ["topic", (rest) => ({ type: "topic", room: "", topic: rest === "" ? null : rest })],
  [
    "history",
    (rest) => {
      if (rest === "") return { type: "history", room: "" };
      return { type: "history", room: "", limit: number(rest) };
    },
  ],
  ["search", search],
  ["kick", kick],
  ["mute", restrict("mute")],
  ["unmute", lift("mute")],
  ["ban", restrict("ban")],
  ["unban", lift("ban")],
  ["bans", bans],
  ["mod", role("moderator")],
  ["unmod", role("member")],
  ["own", role("owner")],
  ["keep", (rest) => ({ type: "mode", room: "", kept: isOn(rest || "on") })],
  ["slow", slow],
  ["moderated", (rest) => ({ type: "mode", room: "", moderated: isOn(rest) })],
  ["topiclock", (rest) => ({ type: "mode", room: "", topic_locked: isOn(rest) })],
  ["unlisted", (rest) => ({ type: "mode", room: "", unlisted: isOn(rest) })],
  ["private", (rest) => ({ type: "mode", room: "", private: isOn(rest) })],
  ["secret", secret],
  ["invite", (rest) => ({ type: "invite", room: "", nick: atMostOneWord(rest) })],
  ["redact", (rest) => ({ type: "redact", room: "", nick: atMostOneWord(rest) })],
  [
    "claim",
    (rest) => {
      const [code, name] = nickAndMore(rest);
      return { type: "claim", code, name };
    },
  ],
  ["login", login],
  ["password", password],
  ["device", (rest) => (need(rest === ""), { type: "device" })],
  ["devices", (rest) => (need(rest === ""), { type: "devices" })],
  ["revoke", (rest) => ({ type: "revoke", number: number(rest) })],
  ["audit", (rest) => ({ type: "audit", ...(rest === "" ? {} : { limit: number(rest) }) })],
  ["help", (rest) => ({ type: "help", command: atMostOneWord(rest) })],
  ["ignore", (rest) => ({ type: "ignore", nick: rest })],
  ["unignore", (rest) => ({ type: "unignore", nick: rest })],
]);

const BY_NAME = new Map(
  [...COMMANDS, ...LOCAL_COMMANDS].flatMap((each) => each.names.map((name) => [name, each])),
);

/** What a typed line asks for: a request, a `rejected`, or null. The current room is the empty one. */
export function parseLine(line) {
  if (strip(line) === "") return null;
  if (line[0] !== "/") return { type: "say", room: "", text: line };
  if (line.startsWith("//")) return { type: "say", room: "", text: line.slice(1) };
  const [word, rest] = partition(line.slice(1));
  const command = BY_NAME.get(word.toLowerCase());
  if (command === undefined) return unknownCommand(word);
  try {
    return REQUESTED.get(command.names[0])(strip(rest));
  } catch (error) {
    if (!(error instanceof Usage)) throw error;
    const text = `usage: ${command.usage}  (for example: ${command.example})`;
    return rejected("bad-usage", text, command.names[0]);
  }
}

const rejected = (reason, text, request = "") => ({ type: "rejected", reason, text, request });

function unknownCommand(word) {
  const shown = sanitize([...word].slice(0, 24).join(""));
  const near = meant([...word.toLowerCase()].slice(0, 24).join(""));
  const hint = near ? `did you mean /${near}?` : "/help lists the commands";
  return rejected("unknown-command", `there is no command /${shown}; ${hint}`);
}

/** The lines of `/help COMMAND`, or a `rejected`. */
export function helpLines(word) {
  const name = word.replace(/^\//, "");
  const command = BY_NAME.get(name.toLowerCase());
  if (command === undefined) return unknownCommand(name);
  const also = command.names.slice(1).map((each) => `/${each}`);
  const lines = [`${command.usage}: ${command.summary}`, `for example: ${command.example}`];
  return also.length > 0 ? [...lines, `the same: ${also.join(", ")}`] : lines;
}

/** Which command is meant by a word that is none. */
function meant(word) {
  const names = [...BY_NAME.keys()];
  const begun = (all) => [...all].find((each) => each.startsWith(word));
  if (word === "") return "";
  if (!ELSEWHERE.has(word) && begun(names)) return begun(names);
  const other = ELSEWHERE.has(word) ? word : begun(ELSEWHERE.keys());
  return other ? ELSEWHERE.get(other) : nearest(word, names);
}

/** The word that is most like the one given, as Python's difflib measures it. */
function nearest(word, candidates) {
  const best = candidates
    .map((each) => [likeness(each, word), each])
    .filter(([ratio]) => ratio >= LIKENESS)
    .sort(([one, first], [other, second]) => other - one || (first < second ? 1 : -1));
  return best[0]?.[1];
}

function likeness(one, other) {
  const [a, b] = [[...one], [...other]];
  return (2 * matching(a, b)) / (a.length + b.length);
}

/** How many characters the two have in common, block by block, the longest first. */
function matching(a, b) {
  let [length, atA, atB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j < b.length; j++) {
      let run = 0;
      while (i + run < a.length && j + run < b.length && a[i + run] === b[j + run]) run += 1;
      if (run > length) [length, atA, atB] = [run, i, j];
    }
  }
  if (length === 0) return 0;
  const before = matching(a.slice(0, atA), b.slice(0, atB));
  return length + before + matching(a.slice(atA + length), b.slice(atB + length));
}

// ── Completion

const SEARCHES = new Set(["search", "find"]);

// A word that says that something is about the whole server, where its usage has it.
const SERVER = "--server";

// How a usage calls what is written in one's own words, in which nicks may stand.
const OWN_WORDS = new Set(["TEXT", "ACTION", "REASON", "TIME"]);

const spaced = (all) => all.map((each) => `${each} `);

/**
 * What the word before the cursor can become: `{start, texts}`, each text from `start` on.
 * `nicks` and `rooms` are those there are, the likeliest first, and `ignored` who is not shown.
 */
export function completions(before, nicks, rooms, ignored) {
  const earlier = before.split(" ");
  const word = earlier.pop();
  const prefix = word.toLowerCase();
  const texts = candidates(earlier, word, { nicks, rooms, ignored }).filter((each) =>
    prefix === "" ? earlier.length > 0 : each.toLowerCase().startsWith(prefix),
  );
  return { start: before.length - word.length, texts: [...new Set(texts)] };
}

function candidates(earlier, word, there) {
  const names = [...COMMANDS, ...LOCAL_COMMANDS].map((command) => command.names[0]).sort();
  if (earlier.length === 0 && word.startsWith("/")) return names.map((name) => `/${name} `);
  if (!earlier[0]?.startsWith("/")) {
    return there.nicks.map((nick) => `${nick}${earlier.length === 0 ? ": " : " "}`);
  }
  const command = earlier[0].slice(1).toLowerCase();
  if (SEARCHES.has(command)) {
    const last = earlier.at(-1).toLowerCase();
    return spaced(last === "in" ? there.rooms : last === "from" ? there.nicks : []);
  }
  const isFirst = earlier.length === 1;
  if (command === "unignore") return isFirst ? [...there.ignored] : [];
  if (command === "help" || command === "?") return isFirst ? names : [];
  const usage = BY_NAME.get(command)?.usage ?? "";
  return byUsage(usage.split(" ").slice(1), earlier.slice(1), word, there);
}

/** What the next word can be, by how the usage calls it. */
function byUsage(usage, given, word, { nicks, rooms }) {
  const found = [];
  if (usage.includes(`[${SERVER}]`)) {
    const isGiven = given.includes(SERVER);
    usage = usage.filter((each) => each !== `[${SERVER}]`);
    given = given.filter((each) => each !== SERVER);
    const isDue = given.length > 0 || usage.length === 0 || word.startsWith("-");
    if (isDue && !isGiven) found.push(SERVER);
  }
  if (usage.length === 0) return found;
  const called = usage[Math.min(given.length, usage.length - 1)].replace(/[[\]]/g, "");
  const isNext = given.length < usage.length;
  if (OWN_WORDS.has(called) || (called === "NICK" && isNext)) found.push(...spaced(nicks));
  else if (called === "ROOM" && isNext) found.push(...rooms);
  // What is written small is to be typed so, as in on|off.
  else if (isNext) found.push(...called.split("|").filter((each) => /^[a-z]+$/.test(each)));
  return found;
}

// ── Names

const LOOKALIKES = new Map(SEVERAL.split(" ").map(([each, ...stands]) => [each, stands.join("")]));
const stands = [...STAND];
let code = 0;
for (const [place, gap] of [...GAPS].entries()) {
  code += gap.codePointAt(0) - GAP_0;
  LOOKALIKES.set(String.fromCodePoint(code), stands[place]);
}

/** The form in which a name is compared: that of tcpchat_core/names.py, for names it allows. */
export function nameKey(name) {
  const lower = name.normalize("NFC").toLowerCase();
  if (/^[\0-\x7f]*$/.test(lower)) return lower;
  const folded = [...lower.normalize("NFD")].map((char) => LOOKALIKES.get(char) ?? char);
  return folded.join("").normalize("NFC");
}

export const roomKey = (name) => nameKey(name.replace(/^#/, ""));

const CRC = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The number of a nick's colour: the same for a person everywhere, also in the terminal. */
export function nickColour(nick) {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(nameKey(nick.slice(0, 64)))) {
    crc = CRC[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  }
  return ((crc ^ 0xffffffff) >>> 0) % COLOURS;
}

// ── Texts

/** Whether a text calls somebody by this nick. */
export function mentions(text, nick) {
  if (nick === "" || !text.toLowerCase().includes(nick.toLowerCase())) return false;
  const name = nick.replace(/[.*+?^${}()|[\]\\\-/]/g, "\\$&").replace(/\\-/g, "\\x2d");
  return new RegExp(`(?<![\\p{L}\\p{N}_])${name}(?![\\p{L}\\p{N}_])`, "iu").test(text);
}

const URLS = /https?:\/\/[^\s<>"]+/giu;
const AFTER = /[.,;:!?'"”’»…)\]}]+$/u; // punctuation of the sentence around it

/** The text in pieces `{text, href}`; `href` is null for what is no link. */
export function pieces(text) {
  const all = [];
  let done = 0;
  for (const match of text.matchAll(URLS)) {
    const href = trimmed(match[0]);
    if (!isLink(href)) continue;
    if (match.index > done) all.push({ text: text.slice(done, match.index), href: null });
    all.push({ text: href, href });
    done = match.index + href.length;
  }
  if (done < text.length || all.length === 0) all.push({ text: text.slice(done), href: null });
  return all;
}

/** The address without the punctuation after it; a bracket that it opens itself is its own. */
function trimmed(url) {
  const end = AFTER.exec(url)?.index ?? url.length;
  let kept = url.slice(0, end);
  for (const char of url.slice(end)) {
    const opens = { ")": "(", "]": "[", "}": "{" }[char];
    if (!opens || kept.split(opens).length <= kept.split(char).length) break;
    kept += char;
  }
  return kept;
}

function isLink(url) {
  try {
    const { protocol, host } = new URL(url);
    return (protocol === "http:" || protocol === "https:") && host !== "";
  } catch {
    return false;
  }
}

/** The lines of a pasted wall, or null when it is one line and can be edited like any other. */
export function wall(text) {
  const lines = text.split(/\r\n|\r|\n/).filter((line) => strip(line) !== "");
  return lines.length > 1 ? lines : null;
}
