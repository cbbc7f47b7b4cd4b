// Does what a recording says that Python's client did, with protocol.js, and compares.
//
// node replay.mjs RECORDING FOLDER...: for each folder with a protocol.js prints one line of JSON:
// null when all is the same, or the first difference.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [recording, ...folders] = process.argv.slice(2);
const { sessions, reconnects, texts } = JSON.parse(readFileSync(recording, "utf8"));

/** A value as text, the same for all that are equal; a Map is a list of pairs. */
function plain(value) {
  if (value instanceof Map || value instanceof Set) return plain([...value]);
  if (Array.isArray(value)) return `[${value.map(plain).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${plain(each)}`).join(",")}}`;
}

class Different extends Error {}

function same(what, is, should) {
  if (plain(is) !== plain(should)) {
    throw new Different(`${what}: is ${plain(is)}, should be ${plain(should)}`.slice(0, 2000));
  }
}

const parsed = (lines) => lines.map((line) => JSON.parse(line));
const fromPairs = (request) =>
  request.seen ? { ...request, seen: new Map(request.seen) } : request;

function kindOf(error, module) {
  const kinds = ["TooLateError", "LineTooLongError", "TooManyRequestsError"];
  kinds.push("LocalError", "RemoteError");
  const kind = kinds.find((name) => error instanceof module[name]);
  if (kind === undefined) throw error;
  return kind;
}

function stateOf(protocol) {
  return {
    nick: protocol.nick,
    epoch: protocol.epoch,
    rooms: [...protocol.rooms].map(([name, view]) => [
      name,
      view.name,
      view.topic,
      view.seq,
      view.count,
      [...view.members],
      [...view.moderators],
    ]),
    unacknowledged: [...protocol.unacknowledged.keys()],
    abandoned: protocol.abandoned.map((request) => request.id),
    device: protocol.device,
  };
}

function step(module, requests, asked, { call, argument }) {
  switch (call) {
    case "hello":
      return { lines: parsed(requests.hello()) };
    case "connection_lost":
      requests.connectionLost();
      return {};
    case "ask": {
      const { pending, lines } = requests.ask(fromPairs(argument));
      asked.push(pending);
      return { lines: parsed(lines) };
    }
    case "cancel":
      requests.cancel(asked[argument]);
      return {};
    case "receive": {
      const { heard, reply } = requests.receive(argument);
      const told = heard.map(({ notice, answers }) => [notice, answers ? asked.indexOf(answers) : -1]);
      return { told, lines: parsed(reply) };
    }
  }
  throw new Error(`no such call: ${call}`);
}

function replaySession(module, session, number) {
  let requests = new module.Requests(new module.ClientProtocol(session));
  let asked = [];
  session.steps.forEach((each, place) => {
    const what = `session ${number}, step ${place} (${JSON.stringify(each).slice(0, 300)})`;
    let result = {};
    try {
      if (each.call === "reloaded") {
        const saved = JSON.parse(JSON.stringify(requests.protocol.saved()));
        const { device } = requests.protocol; // which the browser keeps
        requests = new module.Requests(Object.assign(module.ClientProtocol.restored(saved), { device }));
        asked = asked.map(() => null);
      } else result = step(module, requests, asked, each);
    } catch (error) {
      if (each.call === "ask") asked.push(null);
      result = { error: kindOf(error, module) };
    }
    same(what, result, each.result);
    same(`${what}, the state after it`, stateOf(requests.protocol), each.state);
  });
}

function replayReconnect(module, { give_up_after_ms: patience, steps }, number) {
  const reconnect = new module.Reconnect(patience ?? Infinity);
  steps.forEach(({ opened, closing, now, spread, wait }, place) => {
    if (opened) reconnect.sessionOpened(now);
    else {
      const is = reconnect.connectionLost(closing, now, spread);
      const rounded = is === null ? null : Math.round(is * 1000);
      same(`reconnect ${number}, step ${place}`, rounded, wait === null ? null : Math.round(wait * 1000));
    }
  });
}

const plainText = (parts) => parts.map((part) => part.nick ?? part).join("");

function replayTexts(module, commands, { linesOf, putOut }) {
  for (const [notice, should] of texts.told) {
    const lines = notice.type === "left" ? [putOut(notice)] : linesOf(notice);
    same(`told ${JSON.stringify(notice)}`, lines.map(plainText), should);
  }
  for (const [text, clean, wellFormed] of texts.sanitized) {
    same(`sanitize(${JSON.stringify(text)})`, module.sanitize(text), clean);
    same(`replaceSurrogates(${JSON.stringify(text)})`, module.replaceSurrogates(text), wellFormed);
  }
  for (const [line, should] of texts.typed) {
    const is = commands.parseLine(line);
    const filled = is && Object.fromEntries(Object.entries(is).filter(([, v]) => v !== null && v !== ""));
    same(`parseLine(${JSON.stringify(line)})`, filled, should);
  }
  same("LOCAL_COMMANDS", commands.LOCAL_COMMANDS, texts.local);
  for (const [word, should] of texts.help) same(`help ${word}`, commands.helpLines(word), should);
  for (const [nick, key, colour] of texts.nicks) {
    same(`nameKey(${JSON.stringify(nick)})`, commands.nameKey(nick), key);
    same(`nickColour(${JSON.stringify(nick)})`, commands.nickColour(nick), colour);
  }
  for (const [before, nicks, rooms, ignored, should] of texts.completed) {
    const { start, texts: found } = commands.completions(before, nicks, rooms, ignored);
    const whole = found.map((text) => before.slice(0, start) + text);
    same(`completions(${JSON.stringify(before)})`, whole, should);
  }
  for (const [line, should] of texts.recalled) {
    same(`withoutSecrets(${JSON.stringify(line)})`, commands.withoutSecrets(line), should);
  }
  for (const [text, nick, should] of texts.mentions) {
    same(`mentions(${JSON.stringify(text)}, ${nick})`, commands.mentions(text, nick), should);
  }
}

for (const folder of folders) {
  const load = (name) => import(pathToFileURL(path.join(folder, name)));
  try {
    const [module, commands] = [await load("protocol.js"), await load("commands.js")];
    const moderation = await load("moderation.js");
    sessions.forEach((session, number) => replaySession(module, session, number));
    reconnects.forEach((each, number) => replayReconnect(module, each, number));
    replayTexts(module, commands, moderation);
    console.log("null");
  } catch (error) {
    console.log(JSON.stringify(error instanceof Different ? error.message : String(error.stack)));
  }
}
