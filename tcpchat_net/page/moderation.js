// What moderators do, as lines of the log: texts and nicks, as `{nick}`. Pure; no DOM.

const KEPT = new Map([["ban", "banned from"], ["mute", "muted in"]]);
const SPANS = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]];

/** So many milliseconds, rounded up, for people: as tcpchat_core/durations.py. */
export function shownDuration(ms) {
  for (const [unit, name] of SPANS) {
    if (ms > 2 * unit || (ms >= unit && ms % unit === 0)) return `${Math.ceil(ms / unit)} ${name}`;
  }
  return `${Math.max(1, Math.ceil(ms / 1_000))} s`;
}

const why = (reason) => (reason ? ` (${reason})` : "");
const kept = (what) => KEPT.get(what) ?? "restricted in";

/** How somebody's being put out of a room is told. */
export function putOut({ room, nick, own, by, reason, at, until }) {
  const who = own ? ["you were "] : [{ nick }, " was "];
  const how = until ? `banned from ${room} for ${shownDuration(until - at)}, by ` : `put out of ${room} by `;
  return [...who, how, { nick: by }, why(reason)];
}

/** The line for what a moderator has done; null for any other notice. */
export function moderated(notice) {
  const { type, room, nick, what, by, own } = notice;
  switch (type) {
    case "restricted": {
      const who = own ? ["you are "] : [{ nick }, " is "];
      const lasts = `${kept(what)} ${room} for ${shownDuration(notice.until - notice.at)}, by `;
      return [...who, lasts, { nick: by }, why(notice.reason)];
    }
    case "lifted": {
      const who = own ? ["you are "] : [{ nick }, " is "];
      return [...who, `not ${kept(what)} ${room} any more, says `, { nick: by }];
    }
    case "role": {
      const does = notice.role === "moderator" ? ["moderates", "now"] : ["does not moderate", "any more"];
      return [{ nick }, ` ${does[0]} ${room} ${does[1]}, says `, { nick: by }];
    }
    case "mode": {
      const says = by ? [" now, says ", { nick: by }] : [" now"];
      return [`${room} is ${mode(notice)}`, ...says];
    }
    case "invited": {
      const lasts = shownDuration(notice.until - notice.at);
      if (notice.code) return [`/join ${room} ${notice.code} lets people in for ${lasts}`];
      return [{ nick }, ` may /join ${room} for ${lasts}, says `, { nick: by }];
    }
    case "redacted": {
      const whose = nick && nick !== by ? [" that ", { nick }, " had said"] : [];
      return [{ nick: by }, " took back something", ...whose];
    }
    default:
      return null;
  }
}

function mode({ slow_ms: slow, moderated: isModerated, private: isPrivate }) {
  const parts = [];
  if (isPrivate) parts.push("private");
  if (isModerated) parts.push("for moderators to speak in");
  if (slow) parts.push(`slow (one line in ${shownDuration(slow)})`);
  return parts.join(", ") || "open";
}

/** The lines for who is kept from what in a room. */
export function restrictions({ room, restrictions: rows, at }) {
  if (rows.length === 0) return [[`nobody is banned from ${room}, or muted in it`]];
  return rows.map(({ nick, what, until, by, reason }) => {
    const lasts = ` is ${kept(what)} ${room} for another ${shownDuration(until - at)}, by `;
    return [{ nick }, lasts, { nick: by }, why(reason)];
  });
}
