// What moderators do, and what befalls an account, as lines of the log: texts and nicks, as `{nick}`.
// The words are those of tcpchat_core/dialects/plain.py; a test compares them. Pure; no DOM.

import { clock, date } from "./view.js";

const SPANS = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]];

/** So many milliseconds, rounded up, for people: as tcpchat_core/durations.py. */
export function shownDuration(ms) {
  for (const [unit, name] of SPANS) {
    if (ms > 2 * unit || (ms >= unit && ms % unit === 0)) return `${Math.ceil(ms / unit)} ${name}`;
  }
  return `${Math.max(1, Math.ceil(ms / 1_000))} s`;
}

const why = (reason) => (reason ? ` (${reason})` : "");
const where = (room) => room || "this server";
const lasts = ({ until, at }) => shownDuration(until - at);
const nicks = (all) => all.flatMap((nick, place) => [...(place > 0 ? [", "] : []), { nick }]);

function restrained(what, room) {
  if (what === "ban") return `banned from ${where(room)}`;
  return room ? `muted in ${room}` : "muted on this server";
}

/** How somebody's being put out of a room is told. */
export function putOut(notice) {
  const { room, nick, own, by, reason, until } = notice;
  const who = own ? ["you were "] : [{ nick }, " was "];
  const how = until ? `banned from ${room} for ${lasts(notice)}, by ` : `put out of ${room} by `;
  return [...who, how, { nick: by }, why(reason)];
}

/** Whether somebody is away, as what follows "is". */
export const away = (text) => (text ? `away (${text})` : "back");

/** A real name that somebody has now, as what follows "tells". */
export const realName = (name) => (name ? `a real name: ${name}` : "no real name");

const isOrAre = ({ own, nick }) => (own ? ["you are "] : [{ nick }, " is "]);

// By type, the line for what was done; or several, where it is an answer to a question.
const LINES = new Map([
  [
    "restricted",
    (notice) => {
      const { room, what, by, reason } = notice;
      const how = `${restrained(what, room)} for ${lasts(notice)}, by `;
      return [[...isOrAre(notice), how, { nick: by }, why(reason)]];
    },
  ],
  ["away", (notice) => [[...isOrAre(notice), away(notice.text)]]],
  [
    "setname",
    ({ own, nick, name }) => [[...(own ? ["you tell "] : [{ nick }, " tells "]), realName(name)]],
  ],
  [
    "lifted",
    (notice) => {
      const not = `not ${restrained(notice.what, notice.room)} any more, says `;
      return [[...isOrAre(notice), not, { nick: notice.by }]];
    },
  ],
  [
    "role",
    ({ room, nick, role, by }) => {
      const does = { owner: "owns", moderator: "moderates" }[role];
      const text = does ? `${does} ${room} now` : `does not moderate ${room} any more`;
      return [[{ nick }, ` ${text}, says `, { nick: by }]];
    },
  ],
  [
    "mode",
    (notice) => {
      const says = notice.by ? [", says ", { nick: notice.by }] : [": somebody who looked after it is gone"];
      return [[`${notice.room} is ${mode(notice)} now`, ...says]];
    },
  ],
  [
    "expelled",
    (notice) => {
      const { nick, reason, until } = notice;
      const how = until ? `is banned from this server for ${lasts(notice)}` : "was put out of this server";
      return [[{ nick }, ` ${how}${why(reason)}`]];
    },
  ],
  [
    "invited",
    (notice) => {
      const { room, nick, by, code } = notice;
      if (code) return [[`/join ${room} ${code} lets people in for ${lasts(notice)}`]];
      return [[{ nick }, ` may /join ${room} for ${lasts(notice)}, says `, { nick: by }]];
    },
  ],
  [
    "redacted",
    ({ room, nick, by }) => {
      const whose = nick && nick !== by ? [" that ", { nick }, " had said"] : [];
      return [[{ nick: by }, " took back something", ...whose]];
    },
  ],
  [
    "claimed",
    ({ account, number, admin }) => {
      const who = admin ? [{ nick: account }, ", who looks after this server"] : [{ nick: account }];
      // Who has said a password is on no device.
      return [[number ? `this is device ${number} of ` : "you have come as ", ...who]];
    },
  ],
  [
    "password",
    ({ account, is_set: isSet }) => [
      [{ nick: account }, ` has ${isSet ? "a new" : "no"} password now`],
    ],
  ],
  [
    "offered",
    (notice) => {
      const { account, code } = notice;
      const makes = `/claim ${code} on another device makes it one of `;
      return [[makes, { nick: account }, `, for ${lasts(notice)}`]];
    },
  ],
  ["account", ({ nick }) => [[{ nick }, " has an account"]]],
  ["revoked", ({ number }) => [[`device ${number} is none of yours any more`]]],
  [
    "who",
    (notice) => {
      const { room, nicks: here, owners, moderators, away: gone } = notice;
      const parts = [`${here.length} in ${room}: `, ...nicks(here)];
      for (const [role, all] of [["Owners", owners], ["Moderators", moderators], ["Away", gone]]) {
        if (all.length > 0) parts.push(`. ${role}: `, ...nicks(all));
      }
      const how = mode(notice);
      return [how === "open" ? parts : [...parts, `. It is ${how}`]];
    },
  ],
  [
    "person",
    ({ nick, account, admin, rooms, lost, away: text, name }) => {
      const words = [
        account ? "has an account" : "is a guest",
        admin && "looks after this server",
        rooms.length > 0 && `is in ${rooms.join(", ")}`,
        lost && "has lost the connection",
      ];
      const last = `${text ? `. Away: ${text}` : ""}${name ? `. Real name: ${name}` : ""}`;
      return [[{ nick }, ` ${words.filter(Boolean).join("; ")}${last}`]];
    },
  ],
  [
    "restrictions",
    ({ room, restrictions: rows, at }) => {
      if (rows.length === 0) return [[`nobody is banned from ${where(room)}, or muted there`]];
      return rows.map(({ nick, what, until, by, reason }) => {
        const how = ` is ${restrained(what, room)} for another ${shownDuration(until - at)}, by `;
        return [{ nick }, how, { nick: by }, why(reason)];
      });
    },
  ],
  ["audit", ({ acts }) => (acts.length === 0 ? [["nothing was done yet"]] : acts.map(act))],
  ["devices", ({ devices }) => devices.map(device)],
]);

/** The lines that tell such a notice; null for any other. */
export function linesOf(notice) {
  return LINES.get(notice.type)?.(notice) ?? null;
}

function mode({ slow_ms: slow, ...is }) {
  const parts = [];
  if (is.private) parts.push("private");
  if (is.unlisted) parts.push("unlisted");
  if (is.kept) parts.push("kept");
  if (is.moderated) parts.push("for moderators to speak in");
  if (is.topic_locked) parts.push("for moderators to set the topic of");
  if (slow) parts.push(`slow (one line in ${shownDuration(slow)})`);
  return parts.join(", ") || "open";
}

const time = (at) => `${date(at)} ${clock(at)}`; // of where one is, as all times of this page

function act({ at, by, what, room, nick, until, reason }) {
  const who = by ? { nick: by } : "the owner";
  const whom = nick ? [" ", { nick }] : [];
  const till = until ? ` until ${time(until)}` : "";
  return [`${time(at)} `, who, ` ${what}`, ...whom, room ? ` in ${room}` : " on this server", `${till}${why(reason)}`];
}

function device({ number, at, name, here, own }) {
  const words = [`device ${number}`, name ? `(${name})` : "", `since ${date(at)}`];
  return [[...words, own ? "this one" : here ? "here" : ""].filter(Boolean).join(" ")];
}
